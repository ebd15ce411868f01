"""Which media plane runs, and why: what `tandem status` says of each transceiver."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from config.ids import Endpoint
from workers.native import NotBuilt
from workers.transceiver.media.native import LinkSocket, NativePlane


@contextmanager
def open_plane(
    wanted: str,
    link: LinkSocket,
    *,
    mtu: int,
    peers: Iterable[Endpoint],
    max_streams: int,
    clock_offset: float,
    cpu: int | None = None,
) -> Iterator[tuple[NativePlane | None, str]]:
    """The running plane, or None if sessions carry their media themselves; and a note on it.

    `wanted`: `auto`, `native` or `python`. The rest as for `NativePlane`. Raises NotBuilt if only the
    native plane will do.
    """
    why = "chosen in the configuration"
    if wanted != "python":
        try:
            plane = NativePlane(
                link, mtu=mtu, peers=peers, max_streams=max_streams, clock_offset=clock_offset
            )
        except NotBuilt as reason:
            if wanted == "native":
                raise
            why = str(reason)
        else:
            try:
                plane.start(cpu)
                yield plane, "native"
            finally:
                plane.end()
            return
    yield None, f"python ({why})"
