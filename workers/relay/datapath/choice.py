"""Which datapath runs, and why: what `tandem status` says of each relay."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from config.ids import Endpoint
from config.model import Config, DatapathChoice
from workers.native import NotBuilt
from workers.relay.datapath.base import Datapath
from workers.relay.datapath.native import NativeDatapath
from workers.relay.datapath.python import PythonDatapath


@contextmanager
def open_datapath(
    config: Config,
    public: Sequence[tuple[Endpoint, socket.socket]],
    link: socket.socket,
    cpu: int | None,
    *,
    table: int | None = None,
    siblings: Sequence[int] = (),
    ingress: tuple[Endpoint, socket.socket] | None = None,
) -> Iterator[tuple[Datapath, str]]:
    """The datapath, forwarding what `table` holds, and a note on it.

    `table` is shared memory that outlives this process, `siblings` that of other relays; Global
    Relays send to `ingress`. Raises NotBuilt if only the native datapath will do.
    """
    relay, mtu = config.relay, config.link.mtu
    idle, max_flows = relay.flow_idle, relay.max_flows
    why = "chosen in the configuration"
    if relay.datapath is not DatapathChoice.PYTHON:
        own = os.memfd_create("tandem-flows") if table is None else table
        try:
            native = NativeDatapath(
                public,
                link,
                mtu=mtu,
                idle=idle,
                max_flows=max_flows,
                table=own,
                siblings=siblings,
                ingress=ingress,
            )
        except NotBuilt as reason:
            if relay.datapath is DatapathChoice.NATIVE:
                raise
            why = str(reason)
        else:
            try:
                native.start(cpu)
                yield native, "native"
            finally:
                native.close()
            return
        finally:
            if table is None:
                os.close(own)
    python = PythonDatapath(public, link, mtu=mtu, idle=idle, max_flows=max_flows, ingress=ingress)
    yield python, f"python ({why})"
