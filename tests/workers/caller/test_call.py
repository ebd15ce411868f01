"""A call over the simulated network: what it measures, and when it is over."""

from __future__ import annotations

import pytest

from tests.support.network import drop
from tests.support.world import World
from workers.caller.call import GRACE, Stage


def test_a_good_call_reports_every_phase() -> None:
    with World(delay=0.05) as world:
        client = world.call(frames=50)
        world.run(3)
        assert client.call.stage is Stage.OVER
        report = client.call.report(http=0.01)
        assert report.error == ""
        assert (report.sent, report.received, report.lost, report.foreign) == (50, 50, 0, 0)
        assert report.phases["http"] == 0.01
        assert report.phases["ice"] == pytest.approx(0.1, abs=0.01)
        assert report.phases["dtls"] == pytest.approx(0.2, abs=0.01)
        assert report.phases["connected"] == pytest.approx(0.3, abs=0.02)
        assert report.phases["first_packet"] == pytest.approx(0.1, abs=0.01)
        assert report.phases["setup"] == pytest.approx(0.41, abs=0.04)
        assert report.round_trips is not None
        assert report.round_trips.percentile(50) == pytest.approx(0.1, rel=0.02)


def test_both_ends_tell_what_the_network_did() -> None:
    with World(delay=0.05) as world:
        client = world.call(frames=600)
        world.run(16)
        report = client.call.report(http=0.01)
        assert report.network == pytest.approx(0.1, abs=0.01)
        assert report.up is not None
        assert (report.up.lost, report.up.fraction_lost) == (0, 0.0)
        assert report.down is not None
        assert (report.down.packets_in, report.down.lost) == (600, 0)


def test_what_is_in_flight_at_the_end_is_not_lost() -> None:
    with World(delay=0.2) as world:
        client = world.connected_call()
        client.stop_talking()
        assert client.echoes.outstanding
        world.run(0.45)
        assert client.call.stage is Stage.OVER
        assert client.echoes.lost == 0


def test_a_slow_echo_is_not_a_lost_one() -> None:
    with World() as world:
        client = world.connected_call(frames=150)
        world.run(1)
        world.wan.delay = 0.9
        world.run(6)
        assert client.call.stage is Stage.OVER
        assert (client.echoes.sent, client.echoes.lost) == (150, 0)


def test_grace_is_limited() -> None:
    with World() as world:
        client = world.connected_call(frames=100)
        world.wan.loss = 1.0
        world.run(2)
        client.stop_talking()
        world.run(GRACE + 0.05)
        assert client.call.stage is Stage.OVER
        assert client.echoes.lost > 0
        assert not client.call.failure


def test_only_messages_are_waited_for_with_patience() -> None:
    with World() as world:
        client = world.call(data=True, patience=10.0)
        world.run(2)
        world.wan.filters.append(drop(lambda transit: transit.is_media))
        world.run(2)
        client.stop_talking()
        world.run(2 * GRACE)
        assert client.call.stage is Stage.OVER  # for audio that is lost does not come again
        report = client.call.report(http=0.0)
        assert report.lost > 0
        assert report.messages_sent == report.messages_received >= 30


def test_a_message_is_waited_for() -> None:
    with World() as world:
        client = world.call(data=True, patience=10.0)
        world.run(2)
        world.wan.loss = 1.0
        client.stop_talking()
        world.run(4)
        waits = client.call.stage is Stage.LISTENING
        assert waits
        world.wan.loss = 0.0
        world.run(6)
        assert client.call.stage is Stage.OVER
        report = client.call.report(http=0.0)
        assert report.messages_sent == report.messages_received >= 15


def test_a_connection_without_audio_back_is_a_failure() -> None:
    with World() as world:
        world.wan.filters.append(drop(lambda transit: transit.is_media))
        client = world.call(frames=20)
        world.run(3)
        report = client.call.report(http=0.0)
        assert report.error == "connected, but no audio came back"
        assert report.phases.keys() == {"http", "ice", "dtls", "connected"}


def test_a_call_that_is_never_answered_says_so() -> None:
    with World() as world:
        world.wan.loss = 1.0
        client = world.call()
        world.run(31)
        report = client.call.report(http=0.0)
        assert report.error.startswith("no answer to ICE checks")
        assert report.phases.keys() == {"http"}


def test_a_handshake_that_never_ends_says_so() -> None:
    with World() as world:
        world.wan.filters.append(drop(lambda transit: transit.is_dtls))
        client = world.call()
        world.run(31)
        assert client.call.report(http=0.0).error.startswith("the DTLS handshake did not end")


def test_messages_are_counted_and_timed() -> None:
    with World(delay=0.05) as world:
        client = world.call(frames=100, data=True)
        world.run(5)
        report = client.call.report(http=0.0)
        assert report.error == ""
        assert report.messages_sent == report.messages_received >= 15
        assert report.message_round_trips is not None
        assert report.message_round_trips.percentile(50) == pytest.approx(0.1, abs=0.02)
        assert report.phases["channel"] > report.phases["connected"]


def test_messages_alone() -> None:
    with World() as world:
        client = world.call(frames=50, audio=False, data=True)
        world.run(5)
        report = client.call.report(http=0.0)
        assert report.error == ""
        assert report.sent == 0
        assert report.messages_sent == report.messages_received > 5
        assert "first_packet" in report.phases


def test_a_failure_outside_ends_the_call() -> None:
    with World() as world:
        client = world.connected_call()
        client.call.fail("the restart was refused")
        client.call.fail("and something else")
        assert client.call.stage is Stage.OVER
        assert client.call.report(http=0.0).error == "the restart was refused"


def test_hanging_up_twice_is_harmless() -> None:
    with World() as world:
        client = world.connected_call()
        client.hang_up()
        client.hang_up()
        assert client.call.stage is Stage.OVER
        assert not client.call.failure


def test_an_error_outside_goes_first() -> None:
    with World() as world:
        client = world.connected_call()
        assert client.call.report(http=0.0, error="hang-up: HTTP 500").error == "hang-up: HTTP 500"
