"""Which media plane runs, and why: what `tandem status` says of each transceiver."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from config.ids import Endpoint, Instant
from config.model import MediaChoice
from workers.native import NotBuilt
from workers.transceiver.media.base import MediaPlane
from workers.transceiver.media.link import Link
from workers.transceiver.media.native import NativePlane
from workers.transceiver.media.python import PythonPlane


@contextmanager
def open_plane(
    wanted: MediaChoice,
    link: socket.socket,
    *,
    mtu: int,
    peers: Iterable[Endpoint],
    max_streams: int,
    clock: Callable[[], Instant],
    clock_offset: float,
    cpu: int | None = None,
) -> Iterator[tuple[MediaPlane, str]]:
    """The running plane, and a note on it.

    `clock` gives instants, `clock_offset` is what it shows more than CLOCK_MONOTONIC. The rest as for
    `NativePlane`. Raises NotBuilt if only the native plane will do.
    """
    why = "chosen in the configuration"
    if wanted is not MediaChoice.PYTHON:
        try:
            plane = NativePlane(
                link, mtu=mtu, peers=peers, max_streams=max_streams, clock_offset=clock_offset
            )
        except NotBuilt as reason:
            if wanted is MediaChoice.NATIVE:
                raise
            why = str(reason)
        else:
            try:
                plane.start(cpu)
                yield plane, "native"
            finally:
                plane.end()
            return
    yield PythonPlane(Link(link, mtu, peers), clock), f"python ({why})"
