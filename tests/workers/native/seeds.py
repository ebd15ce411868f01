"""What coverage-guided fuzzing of the C begins with: `python -m tests.workers.native.seeds DIRECTORY`.

An input is a row of operations (kernel.h): these install flows and open streams, and have traffic go
both ways.
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from typing import Final

from tests.fuzz import corpora
from workers.wire.link import RecordType, encode_record

CLIENT, CLIENT_V6, GLOBAL, LINK, COMMAND, PUMP, TAKE, DIE = range(8)
RELAY, TELL, NONSENSE, FLUSH, ROUND, TAKE_EVENTS = range(6)
INSTALL, REMOVE, REMOVE_ROUTE, RAISE, RAISE_PEER = range(1, 6)
OPEN, CLOSE, BIND, UNBIND, SET_WAY, FORWARD, SEND, SEND_REPORT, SEND_RECORD, RECEIVE, PEERS = range(
    1, 12
)
GOOD: Final = b"\x77"
"""The last byte of what is authentic (laws_media.h)."""
RTP: Final = bytes.fromhex("806f0007000003c000000001") + b"opus" * 8 + GOOD
EXTENDED: Final = (
    bytes.fromhex("b16f0008000003c00000000100000002bede000110ff0000") + b"o" * 20 + GOOD
)
RTCP: Final = bytes.fromhex("80c9000100000001") + b"r" * 24 + GOOD


def _do(what: int, who: int, body: bytes = b"") -> bytes:
    return struct.pack("<BBH", what, who, len(body)) + body


def _data(label: int, payload: bytes, kind: RecordType = RecordType.DATA) -> bytes:
    return encode_record(kind, 0, label, payload)


def relay() -> list[bytes]:
    """Of guided_relay.c."""
    flow = _do(COMMAND, 0, bytes([INSTALL, 0, 0, 2, 9, 7, 1, 0, 0]))
    switched = _do(COMMAND, 0, bytes([INSTALL, 2, 5, 3, 1, 7, 4, 0, 1]))
    label, pump, take = 2 << 8 | 9, _do(PUMP, 0, b"\x10\x00"), _do(TAKE, 1)
    there = (
        _do(CLIENT, 1, b"\x80" * 40) + _do(CLIENT, 1, b"\x00\x01check") + _do(CLIENT, 2, b"\x16")
    )
    back = _do(LINK, 0, _data(label, b"\x80back") * 3 + _data(1, b"what", RecordType.INTRO))
    far = _do(GLOBAL, 4, _data(5, b"\x80far")) + _do(LINK, 1, _data(3 << 8 | 1, b"\x80near"))
    gone = [_do(COMMAND, 0, bytes([kind, 0, 0, 2, 9, 7])) for kind in (REMOVE, REMOVE_ROUTE, RAISE)]
    return [
        flow + pump + there + back + pump + take,
        switched + pump + far + pump + take,
        *(flow + pump + each + there + pump + take + _do(PUMP, 0, b"\xff\xff") for each in gone),
        flow + pump + _do(DIE, 0) + there + pump + _do(DIE, 1, b"\x00\x10\x02") + back + pump,
        flow
        + _do(PUMP, 0, b"\x10\x00\x03")
        + there
        + back
        + _do(PUMP, 0, b"\x10\x00\x09")
        + _do(TAKE, 0),
    ]


def media() -> list[bytes]:
    """Of guided_media.c."""
    opened = b"".join(_do(TELL, 0, bytes([OPEN, each, 7, 0, 255])) for each in (0, 1))
    bound = b"".join(
        _do(TELL, 0, bytes([kind, each, 9 + each, each, 0]))
        for each in (0, 1)
        for kind in (BIND, SET_WAY)
    )
    turn, take = _do(ROUND, 1, b"\x00\x40\x00"), _do(TAKE_EVENTS, 1, b"\x00\x01")
    ready = opened + bound + turn
    spoken = [_do(RELAY, 0, _data(9, each)) for each in (RTP, EXTENDED, RTCP, b"\x16dtls")]
    said = _do(TELL, 0, bytes([SEND, 0, 3, 0, 111]) + b"opus")
    report = _do(TELL, 0, bytes([SEND_REPORT, 0, 0, 0, 0]) + RTCP)
    record = _do(TELL, 0, bytes([SEND_RECORD, 0, 9, 1, 2]) + b"intro")
    received = _do(TELL, 0, bytes([RECEIVE, 0, 9, 0, 1]) + RTP)
    return [
        *(ready + each + turn + take for each in spoken),
        ready + said + report + record + received + turn + take,
        ready + _do(TELL, 0, bytes([FORWARD, 0, 1, 0, 0])) + spoken[0] + spoken[1] + turn,
        ready + _do(TELL, 0, bytes([CLOSE, 0])) + spoken[0] + turn + take + opened + turn,
        ready + _do(TELL, 0, bytes([PEERS, 0, 1])) + spoken[0] + _do(NONSENSE, 0, RTP) + turn,
    ]


def calls() -> list[bytes]:
    """Of guided_calls.c: kinds and operations are numbered there."""
    opening, closing, binding, way, sending, report, plug, unplug, probe, hush = range(10)
    arrival, tell, nonsense, back, turn, take, later = range(7)
    opened = b"".join(
        _do(tell, 0, bytes([kind, 1, 0, 1, 0])) for kind in (opening, binding, way, plug)
    )
    moment, taken = _do(turn, 1, b"\x00\x40\x00"), _do(take, 1, b"\x00\x01")
    ready = opened + moment
    speaking = (
        ready + _do(tell, 0, bytes([probe, 1, 9, 1, 4])) + (_do(later, 0, b"\x01") + moment) * 3
    )
    echoes = b"".join(_do(back, 0, bytes([0, 0, 7 + n, n, 4, 0])) for n in (0, 1, 1, 9))
    others = [_do(arrival, 0, each) for each in (b"\x00stun", b"\x01\x16dtls", RTP, RTCP)]
    return [
        *(ready + each + moment + taken for each in others),
        speaking + echoes + moment + _do(tell, 0, bytes([hush, 1])) + moment,
        speaking + _do(later, 0, b"\xff") + moment + echoes + moment,
        speaking + _do(tell, 0, bytes([closing, 1])) + echoes + moment + taken + opened + moment,
        ready
        + _do(tell, 0, bytes([plug, 1, 0, 2, 1]))
        + others[0]
        + moment
        + _do(nonsense, 0, RTP),
        ready + _do(tell, 0, bytes([unplug, 1, 0])) + others[0] + moment,
        ready
        + b"".join(_do(tell, 0, bytes([kind, 1, 0]) + RTCP) for kind in (sending, report))
        + moment,
    ]


SEEDS: Final = {"relay": relay, "media": media, "calls": calls}


def main() -> None:
    """Write them where libFuzzer keeps what it learns."""
    for name, made in SEEDS.items():
        kept = Path(sys.argv[1]) / f"c-{name}"
        kept.mkdir(parents=True, exist_ok=True)
        corpora.write_to(kept, f"c-{name}")
        for number, seed in enumerate(made()):
            (kept / f"seed-{number}").write_bytes(seed)


if __name__ == "__main__":
    main()
