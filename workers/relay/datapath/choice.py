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
from workers.relay.datapath.native import NativeDatapath, table_size
from workers.relay.datapath.python import PythonDatapath


@contextmanager
def open_datapath(
    config: Config,
    public: Sequence[tuple[Endpoint, socket.socket]],
    link: socket.socket,
    cpu: int | None,
) -> Iterator[tuple[Datapath, str]]:
    """The datapath and a note on it. Raises NotBuilt if only the native one will do."""
    relay, mtu = config.relay, config.link.mtu
    idle, max_flows = relay.flow_idle, relay.max_flows
    why = "chosen in the configuration"
    if relay.datapath is not DatapathChoice.PYTHON:
        try:
            size = table_size(max_flows)
        except NotBuilt as reason:
            if relay.datapath is DatapathChoice.NATIVE:
                raise
            why = str(reason)
        else:
            table = os.memfd_create("tandem-flows")
            os.truncate(table, size)
            native = NativeDatapath(
                public, link, mtu=mtu, idle=idle, max_flows=max_flows, table=table
            )
            os.close(table)  # it stays mapped
            native.start(cpu)
            try:
                yield native, "native"
            finally:
                native.close()
            return
    python = PythonDatapath(public, link, mtu=mtu, idle=idle, max_flows=max_flows)
    yield python, f"python ({why})"
