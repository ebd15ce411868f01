"""The messages of the signaling WebSocket: JSON with a `type`; an answer has the `id` of its request."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import msgspec

from ipc.messages.sessions import CloseReason
from workers.http.problems import ProblemKind, Refused
from workers.signaling.objects import parse_object

Id: TypeAlias = Annotated[str, msgspec.Meta(max_length=64)] | Annotated[int, msgspec.Meta(ge=0)]
"""Of a request, the client's choice."""
_Text: TypeAlias = Annotated[str, msgspec.Meta(min_length=1)]


class _Signal(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    pass


class Offer(_Signal, frozen=True, tag="offer"):
    """Place a call."""

    sdp: _Text
    id: Id | None = None
    session: dict[str, Any] = msgspec.field(default_factory=dict)
    backend: str = ""


class Trickle(_Signal, frozen=True, tag="trickle"):
    """Candidates for the ICE credentials that `ice` names."""

    fragment: _Text
    ice: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    id: Id | None = None
    session: str = ""
    """Empty: the call of this socket, here and below."""


class Restart(_Signal, frozen=True, tag="restart"):
    """ICE restarts with new credentials. With `session`, that call becomes the one of this socket."""

    fragment: _Text
    id: Id | None = None
    session: str = ""


class Follow(_Signal, frozen=True, tag="follow"):
    """That call becomes the one of this socket, which hears what becomes of it."""

    session: _Text
    id: Id | None = None


class HangUp(_Signal, frozen=True, tag="hangup"):
    """End it."""

    id: Id | None = None
    session: str = ""


Wanted: TypeAlias = Offer | Trickle | Restart | Follow | HangUp


class Answer(_Signal, frozen=True, tag="answer"):
    """To an offer. `ice` names the credentials, as the ETag does in HTTP."""

    session: str
    sdp: str
    ice: str
    id: Id | None = None


class Trickled(_Signal, frozen=True, tag="trickled"):
    """The candidates are fine."""

    id: Id | None = None


class Restarted(_Signal, frozen=True, tag="restarted"):
    """Our side of the restart."""

    session: str
    fragment: str
    ice: str
    id: Id | None = None


class Followed(_Signal, frozen=True, tag="followed"):
    """What becomes of it will be told."""

    id: Id | None = None


class HungUp(_Signal, frozen=True, tag="hungup"):
    """It is over."""

    id: Id | None = None


class Connected(_Signal, frozen=True, tag="connected"):
    """Media can flow. Nobody has asked for it: there is no id, here and below."""

    session: str


class Closed(_Signal, frozen=True, tag="closed"):
    """The call is over; the socket can place another one."""

    session: str
    reason: CloseReason
    detail: str = ""


class Problem(_Signal, frozen=True, tag="error"):
    """That request came to nothing; `problem` is what HTTP would have answered (RFC 9457)."""

    problem: dict[str, Any]
    id: Id | None = None


Reply: TypeAlias = Answer | Trickled | Restarted | Followed | HungUp
Said: TypeAlias = Reply | Connected | Closed | Problem


class Unreadable(Refused):
    """Not one of our messages; `id` is its id where that could be read."""

    def __init__(self, detail: str, id_: Id | None = None) -> None:
        super().__init__(ProblemKind.MALFORMED_REQUEST, detail)
        self.id = id_


def parse_signal(text: str) -> Wanted:
    """A request of a client. Raises Unreadable."""
    try:
        found = parse_object(text.encode("utf-8", "replace"), "the message")
    except Refused as refused:
        raise Unreadable(refused.detail) from None
    try:
        wanted: Wanted = msgspec.convert(found, Wanted)
    except msgspec.ValidationError as error:
        raise Unreadable(f"the message: {error}", _id_of(found)) from None
    return wanted


def write_signal(said: Said) -> str:
    """As JSON."""
    return msgspec.json.encode(said).decode()


def _id_of(found: dict[str, Any]) -> Id | None:
    try:
        found_id: Id | None = msgspec.convert(found.get("id"), Id | None)
    except msgspec.ValidationError:
        return None
    return found_id
