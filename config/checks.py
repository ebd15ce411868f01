"""What no single value can tell: addresses that collide, keys that do not exist, limits that cross.

Each check yields findings; adding one is adding a function to the list at the end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from typing import Final

from config.doors import tcp_doors
from config.findings import Finding
from config.hosts import find_host_contradictions
from config.listeners import advertised, is_this_host, public
from config.model import Config
from config.places import find_place_contradictions
from config.problems import KeyPath, show_value
from config.redis_url import parse_redis_url

_KEY_ID: Final = re.compile(r"[0-9A-Za-z]")
_BACKEND: Final = re.compile(r"[a-z0-9-]{1,32}")
_TCP: Final = re.compile(r"(?P<host>[A-Za-z0-9.-]+|\[[0-9a-fA-F:.]+\]):(?P<port>\d{1,5})")
_WEBSOCKET: Final = re.compile(
    r"(?P<scheme>wss?)://(?P<host>[A-Za-z0-9.-]+|\[[0-9a-fA-F:.]+\])(?::(?P<port>\d{1,5}))?(?:/[!-~]*)?"
)
_KEY_SET_URL: Final = re.compile(
    r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9.-]+|\[[0-9a-fA-F:.]+\])(?::(?P<port>\d{1,5}))?(?:/[!-~]*)?"
)
_SCOPE: Final = re.compile(r"[!#-\[\]-~]{1,256}")  # RFC 6749, 3.3
_PREFIX: Final = re.compile(r"[A-Za-z0-9_-]{1,32}")
_MAX_SOCKET_PATH: Final = 107
MAX_BYTES: Final = 98_304
"""Of all values as JSON: each worker is given them in one message, with what else it needs."""
BUILT_IN: Final = ("echo", "echo-pcm")
"""Back ends that need no service."""
REALTIME: Final = "realtime"
"""The back end that there is if `realtime.url` says where."""
_HEADER: Final = re.compile(r"[a-z0-9-]{0,64}")
_ORIGIN: Final = re.compile(r"https?://(?:\[[0-9a-fA-F:.]+\]|[^\s/?#@:\[\]]+)(?::\d{1,5})?")


def backends_of(config: Config) -> tuple[str, ...]:
    """Names of all that calls can have."""
    own = (REALTIME,) if config.realtime.url else ()
    return (*BUILT_IN, *config.backends.endpoints, *own)


def find_contradictions(config: Config) -> Iterator[Finding]:
    """Everything that is wrong although each value is allowed by itself."""
    for check in _CHECKS:
        yield from check(config)


def _relay_listen(config: Config) -> Iterator[Finding]:
    yield from public(("relay", "listen"), config.relay.listen)


def _relay_advertise(config: Config) -> Iterator[Finding]:
    yield from advertised(("relay", "advertise"), config.relay.advertise)
    yield from advertised(("relay", "advertise_tcp"), config.relay.advertise_tcp)


def _relay_limits(config: Config) -> Iterator[Finding]:
    relay = config.relay
    if relay.max_pending > relay.max_flows:
        yield Finding(
            ("relay", "max_pending"),
            f"must not exceed relay.max_flows ({relay.max_flows}), got {relay.max_pending}",
            (("relay", "max_flows"),),
        )


def _link_address(config: Config) -> Iterator[Finding]:
    path, address = ("link", "address"), config.link.address
    try:
        parsed = ip_address(address)
    except ValueError:
        yield Finding(path, f"{show_value(address)} is not an IP address")
        return
    if parsed.is_unspecified:
        yield Finding(path, f"{address} is a wildcard; name the exact address")
    elif parsed.is_multicast:
        yield Finding(path, f"{address} is a multicast address")


def _cors_origins(config: Config) -> Iterator[Finding]:
    for index, origin in enumerate(config.signaling.cors_origins):
        if origin != "*" and not _ORIGIN.fullmatch(origin):
            yield Finding(
                ("signaling", "cors_origins", index),
                f"{show_value(origin)} is neither * nor an origin like https://app.example"
                " (no path, no slash at the end)",
            )


def _files(config: Config) -> Iterator[Finding]:
    """Of who may call; workers read them, wherever they have been started."""
    for path, file in (
        (("signaling", "api_keys"), config.signaling.api_keys),
        (("auth", "jwks_file"), config.auth.jwks_file),
    ):
        if file and not file.startswith("/"):
            yield Finding(path, f"must be an absolute path, got {show_value(file)}")
        elif "\0" in file:
            yield Finding(path, "must not contain a zero byte")


def _auth(config: Config) -> Iterator[Finding]:
    auth = config.auth
    if auth.jwks_url and (what := _key_set_url_problem(auth.jwks_url)):
        yield Finding(("auth", "jwks_url"), what)
    if auth.jwks_file and auth.jwks_url:
        what = "keys come from auth.jwks_file already: take one of the two out"
        yield Finding(("auth", "jwks_url"), what, (("auth", "jwks_file"),))
    if auth.wanted:
        named = (("auth", "jwks_file"), ("auth", "jwks_url"))
        for key, claim in (("issuer", "iss"), ("audience", "aud")):
            if not getattr(auth, key):
                what = f"must be said: what `{claim}` of the provider's tokens is for us"
                yield Finding(("auth", key), what, named)
    if auth.scope and not _SCOPE.fullmatch(auth.scope):
        yield Finding(("auth", "scope"), f"{show_value(auth.scope)} is not one word")
    for index, name in enumerate(auth.backends):
        if name not in (known := backends_of(config)):
            what = f"{show_value(name)} is no back end; there are {', '.join(known)}"
            yield Finding(("auth", "backends", index), what, (("backends", "endpoints"),))


def _key_set_url_problem(url: str) -> str:
    match = _KEY_SET_URL.fullmatch(url)
    if match is None or not 0 < int(match["port"] or 443) < 65_536:
        return f"{show_value(url)} is not https://HOST[:PORT]/PATH"
    if match["scheme"] == "http" and not is_this_host(match["host"]):
        return f"{url}: whoever is on the way could put in keys; that needs https://"
    return ""


def _steering(config: Config) -> Iterator[Finding]:
    steering = config.steering
    for name in ("country_header", "latitude_header", "longitude_header"):
        if not _HEADER.fullmatch(getattr(steering, name)):
            yield Finding(
                ("steering", name), "must be the name of a header, in lower case, or empty"
            )
    if steering.database and not steering.database.startswith("/"):
        yield Finding(
            ("steering", "database"),
            f"must be an absolute path, got {show_value(steering.database)}",
        )
    elif "\0" in steering.database:
        yield Finding(("steering", "database"), "must not contain a zero byte")


def _ufrag_keys(config: Config) -> Iterator[Finding]:
    keys, mint_with = config.ufrag.keys, config.ufrag.mint_with
    for key_id, file in keys.items():
        path: KeyPath = ("ufrag", "keys", key_id)
        if not _KEY_ID.fullmatch(key_id):
            yield Finding(path, f"key id {show_value(key_id)} is not one of 0-9, A-Z, a-z")
        if not file:
            yield Finding(path, "must name a file")
    path = ("ufrag", "mint_with")
    also: tuple[KeyPath, ...] = (("ufrag", "keys"),)
    if mint_with and mint_with not in keys:
        known = f"there is {', '.join(map(show_value, keys))}" if keys else "ufrag.keys is empty"
        yield Finding(path, f"{show_value(mint_with)} names no key; {known}", also)
    elif not mint_with and len(keys) > 1:
        known = ", ".join(map(show_value, keys))
        yield Finding(path, f"must say which of {known} new sessions get", also)


def _directories(config: Config) -> Iterator[Finding]:
    supervisor = config.supervisor
    for name, value in (
        ("runtime_directory", supervisor.runtime_directory),
        ("state_directory", supervisor.state_directory),
    ):
        path = ("supervisor", name)
        if value and not value.startswith("/"):
            yield Finding(path, f"must be an absolute path, got {show_value(value)}")
        elif "\0" in value:
            yield Finding(path, "must not contain a zero byte")


def _backends(config: Config) -> Iterator[Finding]:
    backends = config.backends
    for name, endpoints in backends.endpoints.items():
        path: KeyPath = ("backends", "endpoints", name)
        if name in BUILT_IN:
            yield Finding(path, f"{name} is built in; choose another name")
        elif name == REALTIME and config.realtime.url:
            yield Finding(
                path, "realtime.url makes a back end of that name", (("realtime", "url"),)
            )
        elif not _BACKEND.fullmatch(name):
            why = "is not 1-32 of a-z, 0-9 and - (it is part of a URL)"
            yield Finding(path, f"{show_value(name)} {why}")
        if not endpoints:
            yield Finding(path, "must have at least one end point")
        for index, endpoint in enumerate(endpoints):
            if what := _endpoint_problem(endpoint, insecure=backends.insecure):
                yield Finding((*path, index), what, (("backends", "insecure"),))
            elif endpoint in endpoints[:index]:
                yield Finding((*path, index), f"{endpoint} is there twice")
    if backends.default not in (known := backends_of(config)):
        yield Finding(
            ("backends", "default"),
            f"{show_value(backends.default)} is no back end; there are {', '.join(known)}",
            (("backends", "endpoints"), ("realtime", "url")),
        )


def _realtime(config: Config) -> Iterator[Finding]:
    realtime = config.realtime
    if realtime.url and (what := _url_problem(realtime.url, insecure=config.backends.insecure)):
        yield Finding(("realtime", "url"), what, (("backends", "insecure"),))
    if "\0" in realtime.api_key_file:
        yield Finding(("realtime", "api_key_file"), "must not contain a zero byte")


def _url_problem(url: str, *, insecure: bool) -> str:
    """What is wrong with the URL of a WebSocket; empty if nothing is."""
    match = _WEBSOCKET.fullmatch(url)
    if match is None or not 0 < int(match["port"] or 443) < 65_536:
        return f"{show_value(url)} is not wss://HOST[:PORT]/PATH"
    if match["scheme"] == "ws" and not insecure and not is_this_host(match["host"]):
        return f"{url} leaves this host unencrypted; that needs wss:// or backends.insecure = true"
    return ""


def _endpoint_problem(endpoint: str, *, insecure: bool) -> str:
    """What is wrong with a ZeroMQ end point; empty if nothing is."""
    scheme, _, rest = endpoint.partition("://")
    if scheme == "ipc":
        if not rest.startswith("/"):
            return f"{show_value(endpoint)} must have an absolute path"
        return "" if len(rest.encode()) <= _MAX_SOCKET_PATH else "the path is too long for a socket"
    match = _TCP.fullmatch(rest) if scheme == "tcp" else None
    if match is None or not 0 < int(match["port"]) < 65_536:
        return f"{show_value(endpoint)} is neither ipc:///PATH nor tcp://HOST:PORT"
    if not insecure and not is_this_host(match["host"]):
        return f"{endpoint} leaves this host unencrypted; that needs backends.insecure = true"
    return ""


def _anonymous(config: Config) -> Iterator[Finding]:
    if not config.signaling.anonymous:
        return
    for path, wanted, what in (
        (("signaling", "api_keys"), config.signaling.api_keys, "API keys"),
        (("auth",), config.auth.wanted, "tokens"),
    ):
        if wanted:
            what = f"there are {what}, so nobody calls without one: take one of the two out"
            yield Finding(("signaling", "anonymous"), what, (path,))


def _redis(config: Config) -> Iterator[Finding]:
    redis = config.redis
    if redis.url:
        try:
            parse_redis_url(redis.url)
        except ValueError as error:
            yield Finding(("redis", "url"), str(error))
    if not _PREFIX.fullmatch(redis.prefix):
        yield Finding(
            ("redis", "prefix"), f"{show_value(redis.prefix)} is not 1-32 of a-z, A-Z, 0-9, - and _"
        )
    if "\0" in redis.password_file:
        yield Finding(("redis", "password_file"), "must not contain a zero byte")


def _size(config: Config) -> Iterator[Finding]:
    if (size := len(config.model_dump_json())) > MAX_BYTES:
        sections = config.model_dump(mode="json")
        largest = max(sections, key=lambda name: len(str(sections[name])))
        what = f"is too large: everything together has {size} bytes, at most {MAX_BYTES} fit"
        yield Finding((largest,), what)


_CHECKS: Final[tuple[Callable[[Config], Iterator[Finding]], ...]] = (
    _relay_listen,
    tcp_doors,
    _relay_advertise,
    _relay_limits,
    find_host_contradictions,
    _link_address,
    _cors_origins,
    _files,
    _auth,
    _anonymous,
    find_place_contradictions,
    _steering,
    _ufrag_keys,
    _backends,
    _realtime,
    _redis,
    _directories,
    _size,
)
