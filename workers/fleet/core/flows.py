"""The flow cache: where each assured flow leads, written behind, in Redis under the flow's own key.

A key is what docs/wire.md calls a flow key: transport, the client's address and port, ours. A value is a
byte for its format and the route. What is to be written waits here, the newest word on each flow only, and
leaves in batches; while Redis is away it waits on, up to a bound, and what is beyond that is counted. A
flow that was not written costs its client a wait for its next check, if its relay dies, and nothing else.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable
from typing import Final

from config.ids import ClusterId, Epoch, Route, TransceiverId

KEPT: Final = 7200
"""Seconds that a flow is kept after it was written last."""
MOST: Final = 65_536
"""Flows that wait to be written."""
BATCH: Final = 512
KEY_LENGTH: Final = 37
_FORMAT: Final = 1
_VALUE: Final = struct.Struct(">BHHH")


def encode_route(route: Route) -> bytes:
    """The value of a flow."""
    return _VALUE.pack(_FORMAT, *route)


def parse_route(value: object) -> Route | None:
    """What a value says; None if it is nothing of ours."""
    if not isinstance(value, bytes) or len(value) != _VALUE.size or value[0] != _FORMAT:
        return None
    _, cluster, transceiver, epoch = _VALUE.unpack(value)
    return Route(ClusterId(cluster), TransceiverId(transceiver), Epoch(epoch))


class Behind:
    """What is to be written."""

    def __init__(self) -> None:
        self._waiting: dict[bytes, Route | None] = {}
        """None: to be forgotten."""
        self.counters: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, keep: Iterable[tuple[bytes, Route]], forget: Iterable[bytes]) -> None:
        """A relay's word."""
        for key, route in keep:
            self._add(key, route)
        for key in forget:
            self._add(key, None)

    def _add(self, key: bytes, route: Route | None) -> None:
        if len(key) != KEY_LENGTH:
            self.counters["malformed"] += 1
        elif key not in self._waiting and len(self._waiting) >= MOST:
            self.counters["overflow"] += 1
        else:
            self._waiting[key] = route

    def batch(self) -> dict[bytes, Route | None]:
        """The oldest, which are to be written now; they wait no longer."""
        taken = dict(list(self._waiting.items())[:BATCH]) if self._waiting else {}
        for key in taken:
            del self._waiting[key]
        return taken

    def written(self, batch: dict[bytes, Route | None]) -> None:
        """That has worked."""
        kept = sum(route is not None for route in batch.values())
        self.counters["written"] += kept
        self.counters["forgotten"] += len(batch) - kept

    def again(self, batch: dict[bytes, Route | None]) -> None:
        """That has not: they wait on, unless something newer is known of them by now."""
        for key, route in batch.items():
            if key not in self._waiting:
                self._add(key, route)
