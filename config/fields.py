"""Types of values that are more than TOML's own: addresses, networks, counts, keys, each with its check."""

from __future__ import annotations

import re
from ipaddress import ip_network
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, Strict

from config.ids import Endpoint
from config.problems import show_value


def _endpoint(value: object) -> Endpoint:
    if isinstance(value, Endpoint):
        return value
    if isinstance(value, str):
        return Endpoint.parse(value)
    raise ValueError('must be text like "192.0.2.1:3478" or "[2001:db8::1]:3478"')


EndpointField = Annotated[
    Endpoint, BeforeValidator(_endpoint), PlainSerializer(str, return_type=str)
]


def _network(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError('must be text like "127.0.0.1" or "10.0.0.0/8"')
    try:
        ip_network(value, strict=False)
    except ValueError:
        raise ValueError('is neither an address nor a network like "10.0.0.0/8"') from None
    return value


NetworkField = Annotated[str, BeforeValidator(_network)]


def _endpoint_or_none(value: object) -> Endpoint | None:
    return None if value in ("", None) else _endpoint(value)


OptionalEndpointField = Annotated[
    Endpoint | None,
    BeforeValidator(_endpoint_or_none),
    PlainSerializer(lambda endpoint: str(endpoint or ""), return_type=str),
]


_MOST_WORKERS: Final = 256


def _workers(value: object) -> object:
    if value == "auto" or (type(value) is int and 0 <= value <= _MOST_WORKERS):
        return value
    raise ValueError(
        f'must be "auto" or a whole number, 0 to {_MOST_WORKERS}, got {show_value(value)}'
    )


WorkerCount = Annotated[Literal["auto"] | int, BeforeValidator(_workers)]


_CURVE_KEY = re.compile(r"[0-9a-zA-Z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}")  # 32 bytes in Z85


def _curve_key(value: str) -> str:
    if not _CURVE_KEY.fullmatch(value):
        raise ValueError("must be a public key: the 40 characters that `tandem keys curve` prints")
    return value


CurveKey = Annotated[str, Strict(), AfterValidator(_curve_key)]
