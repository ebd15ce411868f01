"""One session, found in three ways, with all that its table, its plane and itself know."""

from __future__ import annotations

from config.ids import SessionId
from ipc.messages.details import FindSession
from tests.support.transceiver import HOME, OTHER_RELAY, PUBLIC, RELAY, Rig


def test_found_by_id_by_ufrag_and_by_label() -> None:
    rig = Rig()
    caller = rig.connect()
    for number in range(5):
        caller.speak(timestamp=960 * number)
        rig.run(0.02)
    detail = rig.exchange.detail(FindSession(caller.id), rig.now)
    assert detail is not None
    assert (detail.summary.session, detail.summary.state) == (caller.id, "connected")
    assert detail.backend == "echo"
    assert detail.ufrags == (caller.ufrag,)
    (path,) = detail.paths
    assert path.path == f"{HOME}>{PUBLIC}/udp"
    assert (path.relay, path.label) == (RELAY, caller.label)
    audio = detail.audio
    assert (audio.codec_in, audio.expected, audio.octets_in) == ("opus", 5, 25)
    assert audio.received is not None
    assert 0 <= audio.received < 1
    assert audio.source

    by_ufrag = FindSession(ufrag=caller.ufrag)
    by_label = FindSession(relay=RELAY, label=caller.label)
    assert rig.sessions.detail(by_ufrag, rig.now) == rig.sessions.detail(by_label, rig.now)
    by_client = FindSession(relay=OTHER_RELAY, label=caller.label, client=HOME)
    assert rig.sessions.detail(by_ufrag, rig.now) == rig.sessions.detail(by_client, rig.now)


def test_audio_that_the_session_is_not_told_of_breaks_the_silence_of_its_path() -> None:
    rig = Rig()
    caller = rig.connect()
    rig.run(1.0)
    caller.speak(timestamp=960)
    rig.run(0.02)
    detail = rig.exchange.detail(FindSession(caller.id), rig.now)
    assert detail is not None
    assert detail.paths[0].silence == detail.audio.received
    assert detail.paths[0].silence < 0.5


def test_a_stranger_is_not_found() -> None:
    rig = Rig()
    caller = rig.connect()
    for question in (
        FindSession(SessionId("rtc_7_nobody")),
        FindSession(ufrag="nobody"),
        FindSession(relay=RELAY, label=caller.label + 1),
        FindSession(),
    ):
        assert rig.exchange.detail(question, rig.now) is None


def test_before_its_client_came() -> None:
    rig = Rig()
    caller = rig.call()
    detail = rig.exchange.detail(FindSession(caller.id), rig.now)
    assert detail is not None
    assert detail.audio.received is None
    assert detail.audio.sent is None
    assert detail.limits.connect is not None
