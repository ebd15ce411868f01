"""INIT, INIT ACK, cookie."""

from __future__ import annotations

from workers.transceiver.core.sctp.handshake import Handshake, read_peer
from workers.wire.sctp import encode_packet, parse_packet
from workers.wire.sctp_chunks import Init, Parameter, ParameterType


def make(seed: int) -> Handshake:
    return Handshake(lambda count: bytes((seed,)) * count, 10_000)


def parsed(chunk: bytes) -> Init:
    (init,) = parse_packet(encode_packet(1, 2, 3, [chunk])).chunks
    assert isinstance(init, Init)
    return init


def test_a_cookie_brings_back_the_peer() -> None:
    ours, theirs = make(1), make(2)
    ack = ours.answer(parsed(theirs.init()))
    assert ack is not None
    init_ack = parsed(ack)
    assert init_ack.ack
    cookie = init_ack.parameter(ParameterType.STATE_COOKIE)
    assert cookie is not None
    peer = ours.redeem(cookie)
    assert peer == read_peer(parsed(theirs.init()))
    assert peer is not None
    assert peer.forward_tsn
    assert peer.re_config
    assert theirs.redeem(cookie) is None
    for index in range(len(cookie)):
        damaged = cookie[:index] + bytes((cookie[index] ^ 1,)) + cookie[index + 1 :]
        assert ours.redeem(damaged) is None


def test_an_init_that_cannot_be_meant() -> None:
    good = Init(False, 1, 5000, 1, 1, 0)
    assert make(1).answer(good) is not None
    for field in ("tag", "outbound", "inbound", "a_rwnd"):
        assert make(1).answer(good._replace(**{field: 0})) is None  # type: ignore[arg-type]


def test_unknown_parameters_are_told_if_they_want_that_within_bounds() -> None:
    asked = (Parameter(0xC123, b"x"), Parameter(0x8001, b"y"), Parameter(0x4001, b"z"))
    ack = make(1).answer(Init(False, 1, 5000, 1, 1, 0, (*asked, Parameter(0xC124, b"w"))))
    assert ack is not None
    told = [p.value for p in parsed(ack).parameters if p.type == ParameterType.UNRECOGNIZED]
    assert told == [b"\xc1\x23\0\x05x", b"\x40\x01\0\x05z"]
    many = tuple(Parameter(0xC000 + n, bytes(60)) for n in range(1, 100))
    ack = make(1).answer(Init(False, 1, 5000, 1, 1, 0, many))
    assert ack is not None
    assert len(ack) < 600
