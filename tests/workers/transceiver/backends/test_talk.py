"""What came before anybody had accepted a session is told to who does, within bounds."""

from __future__ import annotations

from config.ids import SessionId
from ipc.backend.messages import ChannelOpened, DataIn
from workers.transceiver.backends.talk import MAX_WAITING, MAX_WAITING_BYTES, Talk
from workers.transceiver.core.interface import Created

SESSION = SessionId("s")


def talk() -> Talk:
    return Talk(Created(0, SESSION, "", "agent", data=True))


def test_who_accepts_hears_of_open_channels_and_then_what_came_on_them() -> None:
    it = talk()
    opened = ChannelOpened(SESSION, 0, "events")
    it.channels[0] = opened
    said, gone = DataIn(SESSION, 0, b"hello", True), DataIn(SESSION, 2, b"lost", True)
    assert it.keep(said)
    assert it.keep(gone)  # its channel closes before anybody hears of it
    assert it.catch_up() == [opened, said]
    assert it.catch_up() == [opened]


def test_what_waits_is_bounded_in_number_and_in_bytes() -> None:
    it = talk()
    assert all(it.keep(DataIn(SESSION, 0, b"", False)) for _ in range(MAX_WAITING))
    assert not it.keep(DataIn(SESSION, 0, b"", False))
    it = talk()
    assert it.keep(DataIn(SESSION, 0, bytes(MAX_WAITING_BYTES), False))
    assert not it.keep(DataIn(SESSION, 0, b"1", False))


def test_it_is_offered_without_audio_where_there_is_none() -> None:
    started = talk().introduce("agent", 1.5)
    assert (started.session, started.backend) == (SESSION, "agent")
    assert (started.codec, started.data, started.buffer) == ("", True, 1500)
