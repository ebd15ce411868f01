"""Sidebands: applications that hear and say a call's events beside its client. Sans-IO.

    client ------ data channel `oai-events` ------+
                                                  +--- one channel ---> back end
    sidebands --- WebSockets, by signaling -------+

A back end sees one channel of events, whoever speaks on it, and what it says there goes to all. If the
client's is not open when a sideband comes, one that *stands in* is opened for the back end and stays: the
client's own, should it open later, is joined to it, and hears first what has been said until then.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from config.ids import SessionId
from ipc.messages.sidebands import SidebandEvent
from workers.transceiver.core.interface import Created, ForSession, FromSession, SessionClosed
from workers.transceiver.core.sctp.interface import (
    MAX_MESSAGE,
    ChannelClosed,
    ChannelOpened,
    MessageReceived,
    SendMessage,
)
from workers.wire.types import DropReason

EVENTS: Final = "oai-events"
"""Label of the data channel that has a call's events."""
STAND_IN: Final = 65_535
"""A channel that no association can have (RFC 8832, 6)."""
MAX_SIDEBANDS: Final = 4
"""Of a session."""
MAX_HELD: Final = 64
"""Events for a client whose channel is not open yet, the latest,"""
MAX_HELD_BYTES: Final = 256 * 1024
"""and their bytes."""


class Crowded(Exception):
    """The session has as many sidebands as it may have."""


class Member(NamedTuple):
    """One sideband: who reads it, and under which number."""

    reader: str
    number: int


class Heard(NamedTuple):
    """What comes of what a session says: for its back end, and for itself."""

    passed: list[FromSession]
    wanted: list[ForSession]


class ForMember(NamedTuple):
    """To be told to whoever reads that sideband."""

    session: SessionId
    member: Member
    event: SidebandEvent


@dataclass(slots=True)
class _Call:
    key: str
    held: deque[SendMessage] | None
    """For the client's channel, if it may still open."""
    own: int | None = None
    """The client's channel of events."""
    stands_in: bool = False
    """The back end has been told of STAND_IN."""
    members: dict[Member, int] = field(default_factory=dict)
    """With the serial of the last event that each has said."""


class Sidebands:
    """Of all sessions."""

    def __init__(self) -> None:
        self.outbox: list[ForMember] = []
        """Whoever passes it on clears it."""
        self.dropped: Counter[DropReason] = Counter()
        """Events that went nowhere."""
        self._calls: dict[SessionId, _Call] = {}

    def begin(self, created: Created) -> None:
        """A session has a back end."""
        key = str(created.claims.get("key", ""))
        self._calls[created.session] = _Call(key, deque() if created.data else None)

    def knows(self, session: SessionId, key: str) -> bool:
        """It lives, and was placed with that key."""
        call = self._calls.get(session)
        return call is not None and call.key == key

    # --- sidebands ----------------------------------------------------------------------------------

    def join(self, session: SessionId, member: Member) -> list[FromSession]:
        """A sideband comes to a session that is known. Raises Crowded."""
        call = self._calls[session]
        if member in call.members:
            return []
        if len(call.members) >= MAX_SIDEBANDS:
            raise Crowded(f"{MAX_SIDEBANDS} at a time, and there are as many")
        call.members[member] = 0
        return self._stand_in(session, call)

    def leave(self, session: SessionId, member: Member) -> None:
        """It goes; nothing happens if it has gone."""
        if (call := self._calls.get(session)) is not None:
            call.members.pop(member, None)

    def forget(self, reader: str) -> None:
        """All sidebands of that reader go."""
        for call in self._calls.values():
            for member in [each for each in call.members if each.reader == reader]:
                del call.members[member]

    def say(
        self, session: SessionId, member: Member, serial: int, text: str
    ) -> list[FromSession] | None:
        """What a sideband says, as if the client had said it; None if there is no such sideband."""
        call = self._calls.get(session)
        if call is None or member not in call.members:
            return None
        if serial <= call.members[member]:
            return []
        call.members[member] = serial
        channel = STAND_IN if call.stands_in or call.own is None else call.own
        return [FromSession(session, MessageReceived(channel, text.encode(), text=True))]

    # --- session and back end -----------------------------------------------------------------------

    def hear(self, event: FromSession) -> Heard:
        """What a session says, on its way to the back end."""
        call = self._calls.get(event.session)
        if call is None:
            return Heard([event], [])
        match event.output:
            case ChannelOpened(channel=channel, label=label) if label == EVENTS:
                return self._opened(event, call, channel)
            case ChannelClosed(channel=channel) if channel == call.own:
                return self._closed(event, call)
            case MessageReceived(channel=channel, payload=payload, text=text) if (
                channel == call.own and call.stands_in
            ):
                message = MessageReceived(STAND_IN, payload, text)
                return Heard([FromSession(event.session, message)], [])
            case SessionClosed(reason=reason, detail=detail):
                del self._calls[event.session]
                for member in call.members:
                    ended = SidebandEvent(member.number, closed=reason, detail=detail)
                    self.outbox.append(ForMember(event.session, member, ended))
            case _:
                pass
        return Heard([event], [])

    def copy(self, session: SessionId, message: SendMessage) -> ForSession | None:
        """What a back end says, on its way to the client; None if it goes no further than here."""
        wanted, call = ForSession(session, message), self._calls.get(session)
        standing = call is not None and call.stands_in and message.channel == STAND_IN
        if call is None or not (standing or message.channel == call.own):
            return wanted
        if call.members and message.text:
            self._tell(session, call, message.payload)
        if not standing:
            return wanted
        if call.own is not None:
            return ForSession(session, SendMessage(call.own, message.payload, message.text))
        if call.held is not None:
            self._hold(call.held, message)
        return None

    # --- inside -------------------------------------------------------------------------------------

    def _stand_in(self, session: SessionId, call: _Call) -> list[FromSession]:
        """Whoever is there can be heard by the back end."""
        if call.own is not None or call.stands_in:
            return []
        call.stands_in = True
        opened = ChannelOpened(STAND_IN, EVENTS, "", ordered=True, by_peer=True)
        return [FromSession(session, opened)]

    def _opened(self, event: FromSession, call: _Call, channel: int) -> Heard:
        if call.own is not None:  # a second one is like any other
            return Heard([event], [])
        call.own = channel
        held, call.held = call.held, None
        wanted = [
            ForSession(event.session, SendMessage(channel, each.payload, each.text))
            for each in held or ()
        ]
        return Heard([] if call.stands_in else [event], wanted)

    def _closed(self, event: FromSession, call: _Call) -> Heard:
        call.own = None
        if call.stands_in:
            return Heard([], [])
        opened = self._stand_in(event.session, call) if call.members else []
        return Heard([event, *opened], [])

    def _hold(self, held: deque[SendMessage], message: SendMessage) -> None:
        held.append(message)
        while len(held) > MAX_HELD or sum(len(each.payload) for each in held) > MAX_HELD_BYTES:
            held.popleft()
            self.dropped[DropReason.QUEUE_FULL] += 1

    def _tell(self, session: SessionId, call: _Call, payload: bytes) -> None:
        if len(payload) > MAX_MESSAGE:
            self.dropped[DropReason.OVERSIZE] += 1
            return
        try:
            text = payload.decode()
        except UnicodeDecodeError:
            self.dropped[DropReason.UNSUPPORTED] += 1
            return
        for member in call.members:
            told = SidebandEvent(member.number, text)
            self.outbox.append(ForMember(session, member, told))
