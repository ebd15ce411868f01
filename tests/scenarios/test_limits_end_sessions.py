"""Sessions that last too long or say nothing are ended, the client is told, and flows are forgotten."""

from __future__ import annotations

from ipc.messages.sessions import CloseReason
from tests.support.world import World


def test_at_most_so_long() -> None:
    with World(max_duration=10.0) as world:
        client = world.connected_call()
        world.run(9)
        assert client.session_id not in world.transceiver.closed
        world.run(2)
        assert world.transceiver.closed[client.session_id] is CloseReason.MAX_DURATION
        # close_notify: the client need not wait for its consent to run out.
        assert client.call.failure == "the server ended the call early"
        world.run(1)
        assert not world.relay.datapath.by_key


def test_not_for_long_in_silence() -> None:
    with World(idle_timeout=5.0) as world:
        talks = world.connected_call("198.51.100.7:40000")
        listens = world.connected_call("198.51.100.8:40000", frames=50)
        world.run(20)
        assert world.transceiver.closed == {listens.session_id: CloseReason.IDLE}
        assert talks.session_id not in world.transceiver.closed
        assert not talks.call.failure


def test_messages_alone_go_on_and_survive_restarts() -> None:
    with World(idle_timeout=5.0) as world:
        client = world.call(audio=False, data=True, frames=1000)
        world.network.run_until(lambda: client.call.connected, within=5)
        for _ in range(4):
            world.run(3)
            client.restart()
        world.run(2)
        report = client.call.report(0.0)
        assert report.messages_sent > 100
        assert report.messages_sent - report.messages_received < 3
        assert report.restarts == 4
        assert report.sent == 0
        world.run(20)
        assert world.transceiver.closed[client.session_id] is CloseReason.IDLE
