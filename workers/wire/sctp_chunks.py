"""Chunks of SCTP as values (RFC 9260, 3.3; FORWARD-TSN RFC 3758; RE-CONFIG RFC 6525).

Numbers are as on the wire, modulo 2**32 or 2**16. Flags that a chunk does not define are not kept.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple, TypeAlias


class ChunkType(IntEnum):
    """Types that we read. The two highest bits of any other say what to do with it (3.2)."""

    DATA = 0
    INIT = 1
    INIT_ACK = 2
    SACK = 3
    HEARTBEAT = 4
    HEARTBEAT_ACK = 5
    ABORT = 6
    SHUTDOWN = 7
    SHUTDOWN_ACK = 8
    ERROR = 9
    COOKIE_ECHO = 10
    COOKIE_ACK = 11
    SHUTDOWN_COMPLETE = 14
    RE_CONFIG = 130
    FORWARD_TSN = 192


class ParameterType(IntEnum):
    """Of INIT, INIT ACK and RE-CONFIG chunks."""

    STATE_COOKIE = 7
    UNRECOGNIZED = 8
    OUTGOING_RESET = 13
    INCOMING_RESET = 14
    RECONFIG_RESPONSE = 16
    SUPPORTED_EXTENSIONS = 0x8008
    FORWARD_TSN_SUPPORTED = 0xC000


class Cause(IntEnum):
    """Error causes (RFC 9260, 3.3.10)."""

    INVALID_STREAM = 1
    MISSING_PARAMETER = 2
    OUT_OF_RESOURCE = 4
    UNRECOGNIZED_CHUNK = 6
    INVALID_PARAMETER = 7
    NO_USER_DATA = 9
    USER_ABORT = 12
    PROTOCOL_VIOLATION = 13


class ResetResult(IntEnum):
    """Answers to a RE-CONFIG request (RFC 6525, 4.4)."""

    NOTHING_TO_DO = 0
    PERFORMED = 1
    DENIED = 2
    WRONG_STREAM = 3
    IN_PROGRESS_ALREADY = 4
    BAD_SEQUENCE = 5
    IN_PROGRESS = 6


REPORT_BIT: Final = 0x40
"""Of an unknown chunk type: tell the sender."""
SKIP_BIT: Final = 0x80
"""Of an unknown chunk type: go on with the chunk behind it; otherwise the packet ends here."""


class Parameter(NamedTuple):
    """A type, a length and a value; error causes have the same form."""

    type: int
    value: bytes


class Data(NamedTuple):
    """A message or a fragment of one."""

    tsn: int
    stream: int
    sequence: int
    """The stream's sequence number; means nothing if unordered."""
    protocol: int
    """Payload protocol identifier."""
    payload: bytes
    begin: bool = True
    end: bool = True
    unordered: bool = False
    immediate: bool = False
    """The sender would like to have its SACK at once."""


class Init(NamedTuple):
    """INIT, or INIT ACK if `ack`."""

    ack: bool
    tag: int
    a_rwnd: int
    """Advertised receive window in bytes."""
    outbound: int
    """Streams that the sender wants to send on."""
    inbound: int
    """Streams that it can receive."""
    initial_tsn: int
    parameters: tuple[Parameter, ...] = ()

    def parameter(self, type_: int) -> bytes | None:
        """Value of the first parameter of that type."""
        return next((p.value for p in self.parameters if p.type == type_), None)


class Sack(NamedTuple):
    """What has arrived; gaps as offsets (first, last) from the cumulative TSN."""

    cumulative: int
    a_rwnd: int
    gaps: tuple[tuple[int, int], ...] = ()
    duplicates: tuple[int, ...] = ()


class Heartbeat(NamedTuple):
    """Echo this; or, if `ack`, the echo of it."""

    ack: bool
    info: bytes


class Abort(NamedTuple):
    """The end, at once. `reflected`: the tag is the receiver's own (T bit)."""

    reflected: bool
    causes: tuple[Parameter, ...] = ()


class Error(NamedTuple):
    """Something was wrong, but nothing to end it for."""

    causes: tuple[Parameter, ...] = ()


class Shutdown(NamedTuple):
    """The sender has nothing more to say."""

    cumulative: int


class ShutdownAck(NamedTuple):
    """Nor has the other."""


class ShutdownComplete(NamedTuple):
    """Done. `reflected` as in Abort."""

    reflected: bool


class CookieEcho(NamedTuple):
    """The cookie of the INIT ACK, as it was."""

    cookie: bytes


class CookieAck(NamedTuple):
    """The association stands."""


class ForwardTsn(NamedTuple):
    """Wait no longer for anything up to `cumulative`."""

    cumulative: int
    streams: tuple[tuple[int, int], ...] = ()
    """(stream, highest sequence number given up) of ordered messages."""


class OutgoingReset(NamedTuple):
    """The sender begins these streams of its own anew; all of them if none is named."""

    request: int
    response: int
    last_tsn: int
    streams: tuple[int, ...] = ()


class ResetResponse(NamedTuple):
    """Answer to the request with that number."""

    request: int
    result: int


class OtherRequest(NamedTuple):
    """A request that we deny: incoming reset, SSN/TSN reset, more streams."""

    type: int
    request: int


ResetParameter: TypeAlias = OutgoingReset | ResetResponse | OtherRequest


class ReConfig(NamedTuple):
    """One or two requests or responses."""

    parameters: tuple[ResetParameter, ...]


class UnknownChunk(NamedTuple):
    """A type that we do not know; the value is not kept, at most its beginning."""

    type: int
    value: bytes


Chunk: TypeAlias = (
    Data
    | Init
    | Sack
    | Heartbeat
    | Abort
    | Error
    | Shutdown
    | ShutdownAck
    | ShutdownComplete
    | CookieEcho
    | CookieAck
    | ForwardTsn
    | ReConfig
    | UnknownChunk
)
