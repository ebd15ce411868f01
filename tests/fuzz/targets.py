"""What is fuzzed: everything that reads bytes of strangers, one function each.

A target takes bytes and returns, whatever they are; the only exceptions it may meet are those its parser
promises. Seeds are real packets, made by our own encoders, and texts recorded from real clients.
"""

from __future__ import annotations

import contextlib
import hmac
import struct
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import google_crc32c
import msgspec

from config.api_keys import parse_api_keys
from config.ids import ClusterId, Endpoint, Epoch, FlowKey, Route, TransceiverId, Transport
from config.key_set import VerifyingKey, parse_key_set
from config.load import load
from config.model import AuthSection
from config.problems import ConfigError
from ipc.backend.codec import BatchError, decode_from_backend, decode_to_backend, encode_batch
from ipc.backend.messages import AudioIn, AudioOut, FromBackend, SessionStarted, ToBackend
from ipc.backend.messages import Hello as BackendHello
from ipc.codec import CodecError, decode, encode
from ipc.messages.lifecycle import Hello
from ipc.messages.sessions import CreateSession
from tests.fuzz import house
from tests.fuzz.front import FRONT
from tests.support.identity import AUDIENCE, ISSUER, NOW, Provider, sign
from tests.support.sessions import End, Pair, entropy, identity
from workers.http.problems import Refused
from workers.relay.core import estate
from workers.signaling.client_secrets import ClientSecrets
from workers.signaling.grants import Grant
from workers.signaling.signals import parse_signal
from workers.signaling.tokens import Tokens
from workers.transceiver.core.admission import Admitted, Settings, admit
from workers.transceiver.core.checks import parse_binding
from workers.transceiver.core.fragment import read_fragment
from workers.transceiver.core.interface import Create, DatagramReceived, SendDatagram
from workers.transceiver.core.offer import parse_answer
from workers.transceiver.core.sctp.association import Association
from workers.transceiver.core.sctp.interface import PacketReceived, Parameters, SendPacket
from workers.transceiver.core.sctp.snap import parse_sctp_init
from workers.transceiver.core.sdp import SdpError, parse_description
from workers.wire import (
    dcep,
    dtls,
    framing,
    link,
    opus,
    rtcp,
    rtp,
    sctp,
    sped,
    stun,
    telephone_event,
)
from workers.wire.types import Malformed
from workers.wire.ufrag import UfragKeys

Target = Callable[[bytes], None]

OFFERS: Final = Path(__file__).parents[1] / "fixtures" / "offers"
KEYS: Final = UfragKeys({"a": bytes(range(16))}, "a")
ROUTE: Final = Route(ClusterId(7), TransceiverId(3), Epoch(9))
HERE: Final = Endpoint("192.0.2.1", 3478)
CLIENT: Final = FlowKey(Transport.UDP, Endpoint("198.51.100.1", 4000), HERE)
MAX_PACKETS: Final = 64


class Fuzzed(NamedTuple):
    """One target."""

    run: Target
    seeds: Callable[[], Iterable[bytes]]


def _pieces(data: bytes) -> list[bytes]:
    """A sequence of packets out of one input: each behind its length in two bytes."""
    pieces: list[bytes] = []
    while len(data) > 2 and len(pieces) < MAX_PACKETS:
        length = int.from_bytes(data[:2], "big") % 1500
        pieces.append(data[2 : 2 + length])
        data = data[2 + length :]
    return pieces


def _joined(packets: Iterable[bytes]) -> bytes:
    return b"".join(struct.pack(">H", len(packet)) + packet for packet in packets)


# --- parsers --------------------------------------------------------------------------------------


def _parser(*parsers: Callable[[bytes], object]) -> Target:
    def run(data: bytes) -> None:
        for parse in parsers:
            with contextlib.suppress(Malformed):
                parse(data)

    return run


def _link(data: bytes) -> None:
    with contextlib.suppress(Malformed):
        link.parse_routed(data)
    with contextlib.suppress(Malformed):
        for record in link.parse_records(data):
            with contextlib.suppress(Malformed):
                link.parse_intro(record.payload)


def _estate(data: bytes) -> None:
    with contextlib.suppress(estate.EstateError):
        found = estate.decode_estate(data)
        assert all(map(estate.may_be_left, found.connections))
        assert estate.decode_estate(estate.encode_estate(found)) == found


def _rtp(data: bytes) -> None:
    with contextlib.suppress(Malformed):
        packet = rtp.parse_rtp(data)
        assert rtp.parse_rtp(rtp.encode_rtp(packet)) == packet


def _sctp(data: bytes) -> None:
    for parse in (sctp.parse_packet, sctp.parse_init, sctp.parse_parameters):
        with contextlib.suppress(Malformed):
            parse(data)
    # The checksum keeps a fuzzer out: packets behind a right one, too.
    with contextlib.suppress(Malformed):
        sctp.parse_packet(_with_checksum(data))


def _ufrag(data: bytes) -> None:
    with contextlib.suppress(Malformed):
        assert KEYS.decode(data.decode("latin-1")) == ROUTE, "somebody else's"


def _text(parse: Callable[[str], object]) -> Target:
    def run(data: bytes) -> None:
        with contextlib.suppress(Malformed, SdpError):
            parse(data.decode("utf-8", "replace"))

    return run


# --- things that keep state -----------------------------------------------------------------------


@cache
def _settings() -> Settings:
    return Settings(
        route=ROUTE,
        keys=KEYS,
        fingerprint=identity("tandem").fingerprint,
        advertise=(HERE,),
        backends=frozenset({"echo"}),
        max_sessions=10,
    )


def _admission(data: bytes) -> None:
    """A whole offer: what comes of it is an answer that a client can read, or a refusal."""
    offer = data.decode("utf-8", "replace")
    admitted = admit(Create(0, offer, "echo"), _settings(), entropy("f"))
    if isinstance(admitted, Admitted):
        with contextlib.suppress(Malformed):
            parse_answer(admitted.answer)
    else:
        assert admitted.detail


def _with_checksum(packet: bytes) -> bytes:
    """RFC 9260, 6.8: over the packet with zeros in its place, little-endian."""
    blank = packet[:8] + bytes(4) + packet[12:]
    return blank[:8] + struct.pack("<I", google_crc32c.value(blank)) + blank[12:]


def _association(data: bytes) -> None:
    """Packets for a data channel's association that has a living peer."""
    one, other = (Association(Parameters(even=even), entropy("f")) for even in (True, False))
    now = 0.0
    ways = [(other, output) for output in one.start(now)]
    for _ in range(8):
        following = []
        for core, output in ways:
            if isinstance(output, SendPacket):
                peer = one if core is other else other
                produced = core.handle(PacketReceived(output.packet), now)
                following += [(peer, each) for each in produced]
        ways = following
    sent = 0
    for packet in _pieces(data):
        now += 0.05
        produced = one.handle(PacketReceived(_with_checksum(packet)), now)
        if (due := one.next_timeout()) is not None and due <= now:
            produced += one.handle_timeout(now)
        sent += sum(len(each.packet) for each in produced if isinstance(each, SendPacket))
    assert one.kept < 2 << 20
    assert sent <= 40_000 + 4 * len(data)


def _session(data: bytes) -> None:
    """Datagrams for a connected session, from its peer's own address."""
    pair = Pair(data=True).connect()
    server = pair.server
    now, produced = pair.now, 0
    for datagram in _pieces(data):
        now += 0.02
        outputs = server.handle(DatagramReceived(pair.server_path, datagram), now)
        produced += sum(len(o.datagram) for o in outputs if isinstance(o, SendDatagram))
    assert produced <= 60_000 + 8 * len(data)


def _config(data: bytes) -> None:
    with contextlib.suppress(ConfigError):
        load(data.decode("utf-8", "replace"), source="fuzz.toml")


def _signal(data: bytes) -> None:
    """What it lets through goes on in msgpack."""
    with contextlib.suppress(Refused):
        wanted = parse_signal(data.decode("utf-8", "replace"))
        msgspec.msgpack.encode(wanted)


@cache
def _secrets() -> ClientSecrets:
    return ClientSecrets({"a": bytes(16)}, "a", bytes)


def _client_secret(data: bytes) -> None:
    _secrets().read(data.decode("latin-1"))
    # The signature keeps a fuzzer out: claims behind a right one, too.
    _secrets().read(_signed(data))


def _signed(claims: bytes) -> str:
    header = _secrets().mint(Grant(key="a"), now=1, seconds=60).value.partition(".")[0]
    head = header.removeprefix("ek_").encode() + b"." + _base64(claims)
    key = hmac.digest(bytes(16), b"tandem client secret 1", "sha256")
    return f"ek_{(head + b'.' + _base64(hmac.digest(key, head, 'sha256'))).decode()}"


def _base64(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


def _api_keys(data: bytes) -> None:
    with contextlib.suppress(ConfigError):
        parse_api_keys(data.decode("utf-8", "replace"), source="fuzz.toml")


def _key_set(data: bytes) -> None:
    with contextlib.suppress(ConfigError):
        parse_key_set(data.decode("utf-8", "replace"), source="fuzz.json")


class _Published:
    def __init__(self, provider: Provider) -> None:
        self._keys = parse_key_set(provider.document(), source="fuzz")

    async def find(self, kid: str) -> VerifyingKey | None:
        return self._keys.get(kid)


@cache
def _provider() -> tuple[Provider, Tokens]:
    provider = Provider("EdDSA", "k")
    section = AuthSection(jwks_file="/x", issuer=ISSUER, audience=AUDIENCE, scope="calls")
    return provider, Tokens(_Published(provider), section)


def _token(data: bytes) -> None:
    provider, tokens = _provider()
    ((kid, (_, key)),) = provider.keys.items()
    # As it is; claims behind a right signature; a header before claims.
    for bearer in (
        data.decode("latin-1"),
        sign({"alg": "EdDSA", "kid": kid}, data, key),
        f"{_base64(data).decode()}.e30.AA",
    ):
        with contextlib.suppress(Refused, StopIteration):  # it never waits: its keys are there
            tokens.read(bearer, NOW, expired_too=False).send(None)


def _ipc(data: bytes) -> None:
    with contextlib.suppress(CodecError):
        message = decode(data)
        with contextlib.suppress(CodecError):
            encode(message)


def _backend(data: bytes) -> None:
    for read in (decode_to_backend, decode_from_backend):
        with contextlib.suppress(BatchError):
            items = read(data)
            with contextlib.suppress(BatchError):
                encode_batch(items)


# --- seeds ----------------------------------------------------------------------------------------


@cache
def _captured() -> tuple[bytes, ...]:
    """The datagrams of a set-up between two sessions of ours, both ways."""
    pair = Pair(data=True).connect()
    pair.speak(End.CLIENT)
    return tuple(datagram for _, _, datagram in pair.sent)


def _of_kind(low: int, high: int) -> Callable[[], Iterable[bytes]]:
    return lambda: [each for each in _captured() if each and low <= each[0] <= high]


def _offers() -> list[bytes]:
    return [file.read_bytes() for file in sorted(OFFERS.glob("*.sdp"))]


def _handshake() -> list[bytes]:
    one, other = (Association(Parameters(even=even), entropy("f")) for even in (True, False))
    packets: list[bytes] = []
    outputs, core = one.start(0.0), other
    for _ in range(6):
        said = [output.packet for output in outputs if isinstance(output, SendPacket)]
        packets += said
        outputs = [o for packet in said for o in core.handle(PacketReceived(packet), 0.0)]
        core = one if core is other else other
    return packets


_RTP: Final = rtp.encode_rtp(rtp.RtpPacket(111, True, 7, 960, 0x1234, b"opus"))
_EVENT: Final = telephone_event.encode_telephone_event(
    telephone_event.TelephoneEvent(5, True, 10, 800)
)
_TOLD: Final[list[ToBackend]] = [
    BackendHello("a"),
    SessionStarted("s", "a", {"x": 1}),
    AudioIn("s", 20, b"x"),
]
_SAID: Final[list[FromBackend]] = [AudioOut("s", b"x", "item", last=True)]

_FLOW: Final = estate.LeftFlow(9 << 8, ROUTE, Endpoint("::1", 4000), 1.5)
_ESTATE: Final = estate.Estate(
    2.5,
    (estate.LeftConnection(HERE, b"\0", b"x", _FLOW), estate.LeftConnection(HERE, within=4.5)),
    b"\1\2",
)

TARGETS: Final[dict[str, Fuzzed]] = {
    "stun": Fuzzed(_parser(stun.parse_stun, parse_binding), _of_kind(0, 3)),
    "ufrag": Fuzzed(_ufrag, lambda: [KEYS.mint(ROUTE, bytes(6)).encode()]),
    "link": Fuzzed(
        _link,
        lambda: [
            link.encode_record(link.RecordType.INTRO, 0, 7, link.encode_intro(CLIENT, b"\x00\x01")),
            link.encode_routed(
                Route(ClusterId(7), TransceiverId(1), Epoch(1)), CLIENT, b"\x00\x01"
            ),
            link.encode_record(link.RecordType.DATA, 1, 9, b"\x80" * 20) * 3,
        ],
    ),
    "frames": Fuzzed(
        _parser(lambda data: framing.split_frames(data, link.MAX_PAYLOAD)),
        lambda: [_joined([b"\x00\x01check", b"", b"\x80" * 100]) + b"\x00\x09part"],
    ),
    "estate": Fuzzed(_estate, lambda: [estate.encode_estate(_ESTATE)]),
    "dtls": Fuzzed(_parser(dtls.parse_dtls), _of_kind(20, 63)),
    "rtp": Fuzzed(
        _rtp, lambda: [_RTP, b"\x91" + _RTP[1:12] + b"\xbe\xde\x00\x01\x10\xff\x00\x00op"]
    ),
    "rtcp": Fuzzed(
        _parser(rtcp.parse_rtcp),
        lambda: [
            bytes.fromhex(
                "81c900070000000100000002000000000000000100000000000000000000000081cb000100000001"
            ),
            bytes.fromhex("80c8000600000001e0000000000000000000000100000001000000a0"),
        ],
    ),
    "sctp": Fuzzed(_sctp, _handshake),
    "dcep": Fuzzed(
        _parser(dcep.parse_dcep),
        lambda: [b"\x03\x00\x01\x00\x00\x00\x00\x00\x00\x04\x00\x00chat", b"\x02"],
    ),
    "opus": Fuzzed(_parser(opus.parse_opus_duration), lambda: [b"\xfc\xff\xfe", b"\x03\x81"]),
    "telephone_event": Fuzzed(_parser(telephone_event.parse_telephone_event), lambda: [_EVENT]),
    "sped": Fuzzed(_parser(sped.parse_acks), lambda: [sped.encode_acks([1, 2])]),
    "snap": Fuzzed(_text(parse_sctp_init), lambda: [b"AQAAIP////8ACAAABAAEAP////+AAIAEAAAAAAAA"]),
    "sdp": Fuzzed(_text(parse_description), _offers),
    "fragment": Fuzzed(
        _text(read_fragment),
        lambda: [
            b"a=ice-ufrag:abcd\r\na=ice-pwd:0123456789abcdef01234567\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n"
        ],
    ),
    "signal": Fuzzed(
        _signal,
        lambda: [
            b'{"type":"offer","sdp":"v=0","id":1,"session":{"model":"x","audio":{"rate":[1,2.5,null]}}}',
            b'{"type":"trickle","fragment":"a=x","ice":"e","id":"b","session":"rtc_0_x"}',
        ],
    ),
    "client_secret": Fuzzed(
        _client_secret,
        lambda: [
            _secrets().mint(Grant(key="a"), now=1, seconds=60).value.encode(),
            b'{"iss":"tandem","iat":1,"exp":61,"grant":{"key":"a","origins":["https://a"],"once":true}}',
        ],
    ),
    "api_keys": Fuzzed(_api_keys, lambda: [b'shop = "sha256:' + b"0f" * 32 + b'"\n']),
    "key_set": Fuzzed(
        _key_set, lambda: [Provider(each).document().encode() for each in ("RS256", "ES256")]
    ),
    "token": Fuzzed(
        _token,
        lambda: [
            _provider()[0].token().encode(),
            b'{"iss":"https://id.example","aud":["tandem"],"sub":"a","exp":2e9,"scope":"calls","tandem":{}}',
            b'{"alg":"EdDSA","kid":"k","typ":"at+jwt"}',
        ],
    ),
    "admission": Fuzzed(_admission, _offers),
    "association": Fuzzed(_association, lambda: [_joined(_handshake())]),
    "session": Fuzzed(_session, lambda: [_joined(_captured()[:10])]),
    "house": Fuzzed(house.run, house.seeds),
    "config": Fuzzed(
        _config,
        lambda: [
            b'[relay]\nlisten = ["0.0.0.0:3478"]\nworkers = 2\n[backends]\nendpoints = {a=["ipc:///x"]}'
        ],
    ),
    "ipc": Fuzzed(
        _ipc,
        lambda: [
            encode(CreateSession("v=0", "echo")),
            msgspec.msgpack.encode({"type": Hello.__name__}),
        ],
    ),
    "backend": Fuzzed(_backend, lambda: [encode_batch(_TOLD), encode_batch(_SAID)]),
    **{name: Fuzzed(*target) for name, target in FRONT.items()},
}
"""By name; `python -m tests.fuzz NAME SECONDS` runs one."""
