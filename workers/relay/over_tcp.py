"""What serves ICE-TCP in a relay worker: from its birth to what it leaves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import trio

from ipc.messages.lifecycle import DescriptorKind
from workers.relay.datapath.estates import leave_estate, take_estate
from workers.relay.datapath.tcp import TcpDatapath
from workers.worker import Worker


@contextmanager
def open_tcp(worker: Worker) -> Iterator[TcpDatapath | None]:
    """With a link of its own, and what an earlier relay left; None if there is nothing to listen on."""
    config, listeners = worker.config, worker.sockets(DescriptorKind.TCP)
    links = worker.sockets(DescriptorKind.TCP_LINK)
    if not listeners or not links:
        yield None
        return
    datapath = TcpDatapath(
        listeners,
        links[0][1],
        mtu=config.link.mtu,
        idle=config.relay.flow_idle,
        max_flows=config.relay.max_flows,
    )
    try:
        for _, end in worker.sockets(DescriptorKind.ESTATE_OUT):
            for problem in take_estate(datapath, end, trio.current_time()):
                worker.log.warning("connections lost", why=problem)
        if datapath.taken:
            lost = datapath.taken - datapath.connections
            worker.log.info("connections taken over", count=datapath.connections, lost=lost)
        yield datapath
    finally:
        datapath.close()


def leave_tcp(worker: Worker, datapath: TcpDatapath) -> None:
    """Leave the connections to the next relay of this name. Those that are not left end with us."""
    for _, end in worker.sockets(DescriptorKind.ESTATE_IN):
        left, lost = leave_estate(datapath, end, trio.current_time())
        if left or lost:
            worker.log.info("connections left", count=left, lost=lost)
