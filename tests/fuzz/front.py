"""Targets around calls: bodies and headers of HTTP, other hosts' notices, Realtime events."""

from __future__ import annotations

import base64
import contextlib
import json
import warnings
from collections.abc import Callable, Coroutine, Iterable
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.types import Message

from config.ids import ClusterId, Endpoint, Epoch, HostId, Route, TransceiverId
from ipc.messages.fleet import FleetDoor, FleetHost, FleetPlace, FleetTransceiver
from workers.fleet.core.notice import (
    Beat,
    Unbelievable,
    encode_beat,
    encode_host,
    encode_notice,
    parse_host,
    parse_notice,
)
from workers.http.problems import Refused
from workers.realtime.core.bridge import Bridge
from workers.realtime.core.interface import (
    Became,
    FromClient,
    FromServer,
    Input,
    Played,
    ToClient,
    ToServer,
)
from workers.signaling.client_address import CUSTOMARY, STANDARD, Proxies
from workers.signaling.minting import read_wanted
from workers.signaling.offers import read_offer
from workers.signaling.whereabouts import Headers, Location, farness

OFFERS: Final = Path(__file__).parents[1] / "fixtures" / "offers"
BOUNDARY: Final = b"----tandem"
_HOST: Final = HostId("0123456789abcdef")


def run(work: Coroutine[Any, Any, object]) -> None:
    """Of a coroutine that waits for nothing but what is there, so without a loop."""
    with contextlib.suppress(StopIteration):
        work.send(None)
        raise AssertionError("it waited")


# --- bodies of HTTP ---------------------------------------------------------------------------------


def multipart(data: bytes) -> None:
    """An offer in a form. What it lets through goes on in msgpack."""
    with warnings.catch_warnings():
        # The library leaves parts of a form that it cannot read to the collector: memory and no file.
        warnings.simplefilter("ignore", ResourceWarning)
        for content_type in (b"multipart/form-data; boundary=" + BOUNDARY, data[:80]):
            run(_offer(data, content_type))


async def _offer(body: bytes, content_type: bytes) -> None:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    headers = [(b"content-type", content_type)]
    scope = {"type": "http", "method": "POST", "headers": headers, "app": None}
    with contextlib.suppress(Refused):
        offer = await read_offer(Request(scope, receive))
        offer.sdp.encode()
        msgspec.msgpack.encode(offer.session)


def form_seeds() -> Iterable[bytes]:
    """As browsers' FormData sends it, with an offer of Chromium's."""
    offer = (OFFERS / "chromium-audio.sdp").read_bytes()
    session = b'{"type":"realtime","model":"gpt-realtime","audio":{"output":{"voice":"marin"}}}'
    yield _form((b'name="sdp"', offer), (b'name="session"', session))
    yield _form((b'name="sdp"; filename="offer.sdp"\r\nContent-Type: application/sdp', b"v=0\r\n"))


def _form(*parts: tuple[bytes, bytes]) -> bytes:
    body = [
        b"--%s\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n" % (BOUNDARY, name, value)
        for name, value in parts
    ]
    return b"".join(body) + b"--%s--\r\n" % BOUNDARY


def minting(data: bytes) -> None:
    """What is to be in a client secret."""
    with contextlib.suppress(Refused):
        msgspec.msgpack.encode(msgspec.to_builtins(read_wanted(data)))


def minting_seeds() -> Iterable[bytes]:
    """A short one and all that there is."""
    yield b'{"expires_after":{"anchor":"created_at","seconds":600},"session":{"type":"realtime"}}'
    yield (
        b'{"single_use":true,"origins":["https://shop.example"],"clusters":[7],"backend":"echo",'
        b'"max_duration":60.5,"idle_timeout":5,"metadata":{"user":[1,null,"\\u00e9"]}}'
    )


# --- headers of HTTP --------------------------------------------------------------------------------

_TRUSTED: Final = ("10.0.0.0/8", "::1", "127.0.0.1")
_PROXIES: Final = [Proxies(_TRUSTED, header) for header in (CUSTOMARY, STANDARD)]
_PASSED_ON: Final = (b"forwarded", b"x-forwarded-for")
_STRANGER: Final = "198.51.100.9"


def forwarded(data: bytes) -> None:
    """Names and values in lines. Whoever is no proxy of ours is where it comes from, whatever it says."""
    lines = [line.partition(b":") for line in data.splitlines()]
    headers = [(name.strip().lower(), value.strip()) for name, _, value in lines]
    through_another = any(value for name, value in headers if name in _PASSED_ON)
    for proxies in _PROXIES:
        assert proxies.client(_STRANGER, headers).address == ip_address(_STRANGER)
        for peer in ("10.0.0.1", "::1", "::ffff:10.1.1.1"):
            assert not (proxies.client(peer, headers).is_here and through_another)


def forwarded_seeds() -> Iterable[bytes]:
    """As proxies write them."""
    yield b"host: localhost:8080\nx-forwarded-for: 203.0.113.7, 10.0.0.2\norigin: https://a.example"
    yield b'host: [::1]:8080\nforwarded: for="[2001:db8::7]:4711";proto=https, for=10.0.0.3;by=_x'


_NEAR: Final = Headers("x-country", "x-latitude", "x-longitude")


def whereabouts(data: bytes) -> None:
    """Where a client says that it is, in lines of headers; every place is somewhere from there."""
    lines = (line.partition(":") for line in data.decode("latin-1").splitlines())
    where = _NEAR.read({name.strip().lower(): value for name, _, value in lines})
    assert len(where.country) in (0, 2)
    _, away = farness(where, Location(50.1, 8.7), ["DE"])
    assert 0 <= away <= 20_100 or where.location is None


def whereabouts_seeds() -> Iterable[bytes]:
    """As proxies say it."""
    yield b"x-country: de\nx-latitude: 52.5\nx-longitude: -13.4"
    yield b"x-country: XX\nx-latitude: 1e1\nx-longitude: nan"


# --- other hosts ------------------------------------------------------------------------------------


def notice(data: bytes) -> None:
    """From whoever reaches `fleet.listen`, or writes to Redis; what is believed can be said again."""
    with contextlib.suppress(Unbelievable):
        kept = parse_host(_HOST, data)
        assert parse_host(_HOST, encode_host(kept)) == kept
    with contextlib.suppress(Unbelievable):
        beat, host = parse_notice(data)
        again = encode_beat(beat) if host is None else encode_notice(beat, host)
        assert parse_notice(again)[0] == beat


def notice_seeds() -> Iterable[bytes]:
    """A beat alone, and with a host that has everything."""
    beat = Beat(_HOST, 1_800_000_000_000_000_000, 3, 70, 12)
    cluster, here = ClusterId(7), Endpoint("192.0.2.1", 3478)
    route = Route(cluster, TransceiverId(3), Epoch(9))
    whole = FleetHost(
        _HOST,
        cluster,
        "ready",
        (here, Endpoint("2001:db8::1", 3478)),
        (Endpoint("10.0.0.1", 7000),),
        (FleetTransceiver(route, Endpoint("10.0.0.1", 7001)),),
        sessions=12,
        max_sessions=300,
        door=FleetDoor(Endpoint("10.0.0.1", 7443), "k" * 40, 5),
        place=FleetPlace("fra", (50.1, 8.7), ("DE", "FR")),
        ingress=Endpoint("10.0.0.1", 7100),
        forwards=(ClusterId(8),),
    )
    return [encode_beat(beat), encode_notice(beat, whole), encode_host(whole)]


# --- Realtime events --------------------------------------------------------------------------------

MAX_EVENTS: Final = 64


def realtime(data: bytes) -> None:
    """Lines by turns of the client's and the server's, as their first byte says, with what was played."""
    bridge = Bridge({"session": {"model": "m"}}, 5_000)
    for line in data.split(b"\n")[:MAX_EVENTS]:
        for output in bridge.handle(_said(line)):
            if isinstance(output, ToServer | ToClient):
                output.text.encode()


def _said(line: bytes) -> Input:
    match line[:1]:
        case b"<":
            return FromClient(line[1:])
        case b"=":
            name, _, at = line[1:].partition(b",")
            became = list(Became)[len(at) % 4]
            return Played(name.decode("latin-1"), became, int.from_bytes(at[:3], "big"))
        case _:
            return FromServer(line[1:].decode("utf-8", "replace"))


def realtime_seeds() -> Iterable[bytes]:
    """An answer that is spoken, and one that is interrupted, in both versions of the protocol."""
    part = {"response_id": "r1", "item_id": "i1", "content_index": 0}
    delta = base64.b64encode(bytes(4800)).decode()
    for name in ("response.output_audio", "response.audio"):
        events = [
            ("<", {"type": "session.update", "session": {"audio": {"input": {"format": 1}}}}),
            (">", {"type": "session.updated", "session": {"turn_detection": {"a": 1}}}),
            (">", {"type": "response.created", "response": {"id": "r1"}}),
            (">", {"type": f"{name}.delta", "delta": delta, **part}),
            (">", {"type": f"{name}.done", **part}),
            (">", {"type": "input_audio_buffer.speech_started"}),
            (">", {"type": "response.done", "response": {"id": "r1"}}),
            (">", {"type": "error", "error": {"event_id": "tandem_1"}}),
            ("<", {"type": "output_audio_buffer.clear"}),
        ]
        yield "\n".join(who + json.dumps(event) for who, event in events).encode()


FRONT: Final[dict[str, tuple[Callable[[bytes], None], Callable[[], Iterable[bytes]]]]] = {
    "multipart": (multipart, form_seeds),
    "minting": (minting, minting_seeds),
    "forwarded": (forwarded, forwarded_seeds),
    "whereabouts": (whereabouts, whereabouts_seeds),
    "notice": (notice, notice_seeds),
    "realtime": (realtime, realtime_seeds),
}
"""By name: what takes an input, and where its seeds are."""
