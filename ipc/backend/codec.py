"""A batch of items to its bytes and back: a msgpack array of maps, bounded in bytes and in number."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Final, Generic, TypeVar

import msgspec

from ipc.backend.messages import FromBackend, ToBackend

MAX_MESSAGE: Final = 1 << 20
"""Bytes of one encoded batch, both ways."""
MAX_ITEMS: Final = 4096

Batch = TypeVar("Batch")


class BatchError(Exception):
    """The bytes are no batch, or the batch does not fit; the text names the place, e.g. `$[3].session`."""


class BatchTooLarge(BatchError):
    """More bytes than MAX_MESSAGE, or more items than MAX_ITEMS."""


_encoder: Final = msgspec.msgpack.Encoder()
_ARRAY: Final = struct.Struct(">BI")
"""Of any length that we allow."""


def encode_batch(items: Sequence[ToBackend] | Sequence[FromBackend]) -> bytes:
    """Bytes of a batch. Raises BatchError if it is too large or a value has no wire form."""
    try:
        data = _encoder.encode(items)
    except (
        TypeError,
        OverflowError,
        UnicodeEncodeError,
        RecursionError,
        msgspec.MsgspecError,
    ) as error:
        raise BatchError(str(error)) from error
    if len(data) > MAX_MESSAGE or len(items) > MAX_ITEMS:
        raise BatchError(f"{len(items)} items in {len(data)} bytes: split them")
    return data


def encode_batches(
    items: Sequence[ToBackend] | Sequence[FromBackend],
) -> Iterator[tuple[int, bytes | None]]:
    """As many batches as it takes: how many items each has, and its bytes.

    An item that fits into none, or has no wire form, is a batch of its own without bytes.
    """
    try:
        yield len(items), encode_batch(items)
    except BatchError:
        if len(items) < 2:
            yield len(items), None
            return
        middle = len(items) // 2
        yield from encode_batches(items[:middle])
        yield from encode_batches(items[middle:])


def extend_batch(
    batch: bytes, count: int, items: Sequence[ToBackend] | Sequence[FromBackend]
) -> bytes | None:
    """A batch of `count` items with these behind them; None if one batch cannot have them all."""
    try:
        more = encode_batch(items)
    except BatchError:
        return None
    total = count + len(items)
    whole = _ARRAY.pack(0xDD, total) + batch[_head(batch) :] + more[_head(more) :]
    return whole if len(whole) <= MAX_MESSAGE and total <= MAX_ITEMS else None


def _head(batch: bytes) -> int:
    """Bytes before its first item: those of an array's length."""
    return {0xDC: 3, 0xDD: 5}.get(batch[0], 1)


class BatchDecoder(Generic[Batch]):
    """Reads batches of one direction."""

    def __init__(self, kind: type[Batch]) -> None:
        self._decode = msgspec.msgpack.Decoder(list[kind]).decode  # type: ignore[valid-type]

    def __call__(self, data: bytes) -> list[Batch]:
        """The items. Raises BatchTooLarge, or BatchError on anything but exactly one batch that is valid
        throughout."""
        if len(data) > MAX_MESSAGE:
            raise BatchTooLarge(f"{len(data)} bytes, at most {MAX_MESSAGE} are allowed")
        try:
            items: list[Batch] = self._decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise BatchError(str(error)) from error
        except RecursionError:
            raise BatchError("nested too deeply") from None
        if len(items) > MAX_ITEMS:
            raise BatchTooLarge(f"{len(items)} items, at most {MAX_ITEMS} are allowed")
        return items


decode_to_backend: Final = BatchDecoder[ToBackend](ToBackend)  # type: ignore[arg-type]
decode_from_backend: Final = BatchDecoder[FromBackend](FromBackend)  # type: ignore[arg-type]
