"""What an address gets that is not proven: no answer is longer than its request, and little beside it."""

from __future__ import annotations

import struct
from typing import Final

import pytest
from aioice import stun
from hypothesis import given
from hypothesis import strategies as st

from config.ids import ClusterId, Endpoint, Epoch, Route, TransceiverId, Transport
from tests.support.sessions import entropy
from workers.transceiver.core.checks import encode_request, parse_binding, seal
from workers.transceiver.core.ice import Ice, IceOutput
from workers.transceiver.core.interface import (
    DtlsRole,
    IceCredentials,
    IceRole,
    Path,
    SendDatagram,
    SessionParameters,
)
from workers.transceiver.core.paths import AMPLIFICATION
from workers.wire.ufrag import UfragKeys

ROUTE: Final = Route(ClusterId(7), TransceiverId(3), Epoch(9))
OURS: Final = IceCredentials(UfragKeys({"a": bytes(16)}, "a").mint(ROUTE, bytes(6)), "p" * 24)
KEY: Final = OURS.password.encode()
NETWORK_INFO: Final = struct.pack(">HHI", 0xC057, 4, 0x0001_000A)
"""Chromium's GOOG_NETWORK_INFO: the network's id and what it costs."""
PATHS: Final = [
    Path(Transport.UDP, Endpoint(host, 4000), Endpoint(here, 3478))
    for host, here in (("198.51.100.1", "192.0.2.1"), ("2001:db8::1", "2001:db8::2"))
]


def ice(theirs: str) -> Ice:
    peer = IceCredentials(theirs, "q" * 24)
    parameters = SessionParameters(IceRole.CONTROLLED, DtlsRole.PASSIVE, OURS, peer, (), None)
    return Ice(parameters, entropy("ice"), 0.0)


def check(
    theirs: str, more: bytes = b"", role: str = "ICE-CONTROLLING", *, nominating: bool = False
) -> bytes:
    attributes: dict[str, object] = {"USERNAME": f"{OURS.ufrag}:{theirs}", "PRIORITY": 1, role: 1}
    if nominating:
        attributes["USE-CANDIDATE"] = None
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST, bytes(12), attributes)
    return seal(bytes(message) + more, KEY)


def bare(theirs: str, more: bytes = b"") -> bytes:
    """What is still taken for a check: a name, and that it is signed."""
    attributes = {"USERNAME": f"{OURS.ufrag}:{theirs}"}
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST, bytes(12), attributes)
    return seal(bytes(message) + more, KEY)


CLIENTS: Final = {
    "aiortc": check("Ab3d"),
    "chromium": check("Ab3d", NETWORK_INFO),
    "chromium, nominating": check("Ab3d", NETWORK_INFO, nominating=True),
    "firefox": check("0f1e2d3c"),
    "the least that is valid": bare("Ab3d"),
}


def sent(outputs: list[IceOutput]) -> list[bytes]:
    return [each.datagram for each in outputs if isinstance(each, SendDatagram)]


def drawn_by_one(request: bytes, path: Path, theirs: str = "Ab3d") -> tuple[int, int]:
    """Bytes that a check draws which nobody follows up: its answer, and everything until we give up."""
    core = ice(theirs)
    datagrams = sent(core.handle(path, request, 0.0))
    first = len(datagrams[0])
    while (due := core.next_timeout()) is not None and due < 120.0:
        datagrams += sent(core.handle_timeout(due))
    return first, sum(map(len, datagrams))


@pytest.mark.parametrize("path", PATHS, ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("name", CLIENTS)
def test_the_answer_is_not_longer_than_the_check(name: str, path: Path) -> None:
    theirs = "0f1e2d3c" if name == "firefox" else "Ab3d"
    answer, everything = drawn_by_one(CLIENTS[name], path, theirs)
    assert answer <= len(CLIENTS[name])
    assert everything <= AMPLIFICATION * len(CLIENTS[name])


@given(
    st.lists(st.integers(0x0030, 0x7FFF).filter(lambda t: t not in stun.ATTRIBUTES_BY_TYPE)),
    st.text("abcdef", min_size=4, max_size=40),
    st.sampled_from(PATHS),
    st.booleans(),
)
def test_nor_is_an_error(unknown: list[int], theirs: str, path: Path, conflicting: bool) -> None:
    """Even if the check has nothing but what must be in it."""
    more = b"".join(struct.pack(">HH", each, 0) for each in unknown)
    role = "ICE-CONTROLLED" if conflicting else "ICE-CONTROLLING"
    for request in (bare(theirs, more), check(theirs, more, role)):
        first = sent(ice(theirs).handle(path, request, 0.0))[0]
        assert len(first) <= len(request)


def test_what_is_not_signed_gets_nothing() -> None:
    forged = encode_request(bytes(12), {"USERNAME": f"{OURS.ufrag}:Ab3d"}, b"another key")
    parse_binding(forged)
    assert sent(ice("Ab3d").handle(PATHS[0], forged, 0.0)) == []
