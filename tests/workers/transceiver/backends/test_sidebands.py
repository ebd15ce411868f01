"""Sidebands of one call: what its back end hears, what its client and they do."""

from __future__ import annotations

import pytest

from config.ids import SessionId
from ipc.messages.sessions import CloseReason
from ipc.messages.sidebands import SidebandEvent
from workers.transceiver.backends.sidebands import (
    EVENTS,
    MAX_HELD,
    MAX_HELD_BYTES,
    MAX_SIDEBANDS,
    STAND_IN,
    Crowded,
    Member,
    Sidebands,
)
from workers.transceiver.core.interface import Created, ForSession, FromSession, SessionClosed
from workers.transceiver.core.sctp.interface import (
    MAX_MESSAGE,
    ChannelClosed,
    ChannelOpened,
    MessageReceived,
    SendMessage,
)
from workers.wire.types import DropReason

CALL = SessionId("rtc_1_call")
ONE, TWO = Member("reader", 1), Member("reader", 2)


def opened(channel: int, label: str = EVENTS) -> FromSession:
    return FromSession(CALL, ChannelOpened(channel, label, "", ordered=True, by_peer=True))


def closed(channel: int) -> FromSession:
    return FromSession(CALL, ChannelClosed(channel))


def heard(channel: int, text: str) -> FromSession:
    return FromSession(CALL, MessageReceived(channel, text.encode(), text=True))


class Stage:
    """One call, as its exchange sees it."""

    def __init__(self, *, data: bool = True) -> None:
        self.sidebands = Sidebands()
        self.sidebands.begin(Created(1, CALL, "", "agent", data=data, claims={"key": "shop"}))
        self.serial = 0

    def say(self, member: Member, text: str) -> list[FromSession] | None:
        self.serial += 1
        return self.sidebands.say(CALL, member, self.serial, text)

    def back_end(self, channel: int, text: str) -> str:
        """What it says; `where: text` of what goes to the client."""
        wanted = self.sidebands.copy(CALL, SendMessage(channel, text.encode(), text=True))
        if wanted is None:
            return ""
        assert isinstance(wanted.event, SendMessage)
        return f"{wanted.event.channel}: {wanted.event.payload.decode()}"

    def told(self) -> list[tuple[int, str]]:
        """To sidebands, since the last time."""
        taken = [(each.member.number, each.event.text) for each in self.sidebands.outbox]
        self.sidebands.outbox.clear()
        return taken


def test_a_sideband_is_heard_as_the_client_is_and_hears_what_the_client_hears() -> None:
    stage = Stage()
    assert stage.sidebands.hear(opened(1)) == ([opened(1)], [])
    assert stage.sidebands.join(CALL, ONE) == []
    assert stage.sidebands.join(CALL, TWO) == []
    assert stage.say(ONE, "tool") == [heard(1, "tool")]
    assert stage.sidebands.hear(heard(1, "client")) == ([heard(1, "client")], [])
    assert stage.told() == []  # what the client says is not told
    assert stage.back_end(1, "answer") == "1: answer"
    assert stage.told() == [(1, "answer"), (2, "answer")]
    assert stage.back_end(3, "chat") == "3: chat"
    assert stage.told() == []


def test_a_call_without_channels_has_one_for_the_back_end_only() -> None:
    stage = Stage(data=False)
    assert stage.sidebands.join(CALL, ONE) == [opened(STAND_IN)]
    assert stage.sidebands.join(CALL, TWO) == []
    assert stage.say(TWO, "hello") == [heard(STAND_IN, "hello")]
    assert stage.back_end(STAND_IN, "answer") == ""
    assert stage.told() == [(1, "answer"), (2, "answer")]


def test_a_client_whose_channel_opens_after_a_sideband_came_has_missed_nothing() -> None:
    stage = Stage()
    assert stage.sidebands.join(CALL, ONE) == [opened(STAND_IN)]
    assert stage.back_end(STAND_IN, "first") == ""
    assert stage.back_end(STAND_IN, "second") == ""
    passed, wanted = stage.sidebands.hear(opened(7))
    assert passed == []
    assert [each.event for each in wanted] == [
        SendMessage(7, b"first", text=True),
        SendMessage(7, b"second", text=True),
    ]
    # From now on the two are one.
    assert stage.back_end(STAND_IN, "third") == "7: third"
    assert stage.sidebands.hear(heard(7, "client")).passed == [heard(STAND_IN, "client")]
    assert stage.say(ONE, "tool") == [heard(STAND_IN, "tool")]
    assert [text for _, text in stage.told()] == ["first", "second", "third"]
    # A second channel of that name, and others, are like any other.
    assert stage.sidebands.hear(opened(9)).passed == [opened(9)]
    assert stage.sidebands.hear(heard(9, "x")).passed == [heard(9, "x")]
    assert stage.sidebands.hear(opened(11, "chat")).passed == [opened(11, "chat")]
    # The client's goes, and comes again.
    assert stage.sidebands.hear(closed(7)) == ([], [])
    assert stage.back_end(STAND_IN, "nobody") == ""
    assert stage.sidebands.hear(opened(13)) == ([], [])
    assert stage.back_end(STAND_IN, "again") == "13: again"


def test_a_channel_that_closes_leaves_the_sidebands() -> None:
    stage = Stage()
    stage.sidebands.hear(opened(1))
    stage.sidebands.join(CALL, ONE)
    assert stage.sidebands.hear(closed(1)).passed == [closed(1), opened(STAND_IN)]
    assert stage.say(ONE, "tool") == [heard(STAND_IN, "tool")]
    alone = Stage()
    alone.sidebands.hear(opened(1))
    assert alone.sidebands.hear(closed(1)).passed == [closed(1)]


def test_what_waits_for_the_client_is_bounded_and_the_latest_stays() -> None:
    stage = Stage()
    stage.sidebands.join(CALL, ONE)
    for number in range(MAX_HELD + 6):
        stage.back_end(STAND_IN, str(number))
    assert stage.sidebands.dropped == {DropReason.QUEUE_FULL: 6}
    wanted = stage.sidebands.hear(opened(1)).wanted
    assert [each.event.payload for each in wanted if isinstance(each.event, SendMessage)] == [
        str(number).encode() for number in range(6, MAX_HELD + 6)
    ]
    large = Stage()
    large.sidebands.join(CALL, ONE)
    for _ in range(3):
        large.back_end(STAND_IN, "x" * (MAX_HELD_BYTES // 2))
    assert len(large.sidebands.hear(opened(1)).wanted) == 2


def test_who_may_come_and_how_many() -> None:
    stage = Stage()
    assert stage.sidebands.knows(CALL, "shop")
    assert not stage.sidebands.knows(CALL, "other")
    assert not stage.sidebands.knows(CALL, "")
    assert not stage.sidebands.knows(SessionId("rtc_other"), "shop")
    for number in range(MAX_SIDEBANDS):
        stage.sidebands.join(CALL, Member("reader", number))
    assert stage.sidebands.join(CALL, ONE) == []  # it is there
    with pytest.raises(Crowded):
        stage.sidebands.join(CALL, Member("other", 1))
    stage.sidebands.leave(CALL, ONE)
    stage.sidebands.leave(CALL, ONE)
    stage.sidebands.join(CALL, Member("other", 1))
    stage.sidebands.forget("reader")
    assert stage.say(TWO, "gone") is None
    assert stage.say(Member("other", 1), "here") is not None


def test_an_event_that_comes_twice_is_heeded_once() -> None:
    stage = Stage()
    stage.sidebands.join(CALL, ONE)
    assert stage.sidebands.say(CALL, ONE, 1, "a") == [heard(STAND_IN, "a")]
    assert stage.sidebands.say(CALL, ONE, 1, "a") == []
    assert stage.sidebands.say(CALL, ONE, 2, "b") == [heard(STAND_IN, "b")]


def test_only_texts_are_copied() -> None:
    stage = Stage()
    stage.sidebands.hear(opened(1))
    stage.sidebands.join(CALL, ONE)
    binary = SendMessage(1, b"{}", text=False)
    assert stage.sidebands.copy(CALL, binary) == ForSession(CALL, binary)
    wrong = SendMessage(1, b"\xff", text=True)
    assert stage.sidebands.copy(CALL, wrong) == ForSession(CALL, wrong)
    assert stage.told() == []
    assert stage.sidebands.dropped == {DropReason.UNSUPPORTED: 1}
    long = SendMessage(1, b"x" * (MAX_MESSAGE + 1), text=True)
    assert stage.sidebands.copy(CALL, long) == ForSession(CALL, long)
    assert stage.told() == []  # no client could have it either
    assert stage.sidebands.dropped[DropReason.OVERSIZE] == 1


def test_the_end_is_told_behind_all_else_and_nothing_is_left() -> None:
    stage = Stage()
    stage.sidebands.join(CALL, ONE)
    stage.back_end(STAND_IN, "bye")
    over = FromSession(CALL, SessionClosed(CloseReason.IDLE, "nobody spoke"))
    assert stage.sidebands.hear(over) == ([over], [])
    last = stage.sidebands.outbox[-1].event
    assert last == SidebandEvent(1, closed=CloseReason.IDLE, detail="nobody spoke")
    assert not stage.sidebands.knows(CALL, "shop")
    assert stage.say(ONE, "late") is None
    stage.sidebands.leave(CALL, ONE)
