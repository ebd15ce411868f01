"""Values that are more than text or numbers: what is taken, and what is said of the rest."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from config.fields import CurveKey, EndpointField, NetworkField, OptionalEndpointField, WorkerCount
from config.ids import Endpoint


def read(field: Any, value: object) -> Any:
    return TypeAdapter(field).validate_python(value)


def dump(field: Any, value: object) -> Any:
    return TypeAdapter(field).dump_python(read(field, value), mode="json")


@pytest.mark.parametrize(
    ("field", "value", "means"),
    [
        (EndpointField, "[::1]:3478", Endpoint("::1", 3478)),
        (EndpointField, Endpoint("192.0.2.1", 1), Endpoint("192.0.2.1", 1)),
        (OptionalEndpointField, "", None),
        (OptionalEndpointField, "192.0.2.1:1", Endpoint("192.0.2.1", 1)),
        (NetworkField, "10.0.0.7/8", "10.0.0.7/8"),
        (WorkerCount, "auto", "auto"),
        (WorkerCount, 256, 256),
        (CurveKey, "a" * 40, "a" * 40),
    ],
)
def test_what_is_taken(field: Any, value: object, means: object) -> None:
    assert read(field, value) == means
    assert read(field, dump(field, value)) == means


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        (EndpointField, 3478, "must be text like"),
        (OptionalEndpointField, 0, "must be text like"),
        (NetworkField, "10.0.0.0/33", "is neither an address nor a network"),
        (NetworkField, 10, "must be text like"),
        (WorkerCount, True, 'must be "auto" or a whole number, 0 to 256, got true'),
        (WorkerCount, 257, 'must be "auto" or a whole number, 0 to 256, got 257'),
        (CurveKey, "a" * 39, "must be a public key"),
        (CurveKey, "a" * 39 + " ", "must be a public key"),
    ],
)
def test_what_is_not(field: Any, value: object, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        read(field, value)
    assert said in str(caught.value)
