"""What the kernel allows: buffers, backlog, descriptors; and what it really gives."""

from __future__ import annotations

import resource
import socket
from collections.abc import Iterator
from typing import Final

from appliance.doctor.finding import Finding, fail, ok, warn
from appliance.doctor.host import Host
from appliance.supervisor.binding import BACKLOG, set_receive_buffer

_SYSCTL: Final = "/etc/sysctl.d/60-tandem.conf"
_PER_CONNECTION: Final = 2
"""Descriptors of signaling: the connection, and what it may hold beside."""
_RESERVE: Final = 256


def check(host: Host) -> Iterator[Finding]:
    """All of it."""
    yield from _buffers(host)
    yield _given(host)
    yield _backlog(host)
    yield _descriptors(host)
    yield from _lost(host)


def _buffers(host: Host) -> Iterator[Finding]:
    # The kernel counts its own overhead: it doubles what is asked for, and the limit is on the asking.
    wanted = host.config.relay.receive_buffer
    for name in ("net.core.rmem_max", "net.core.wmem_max"):
        check, found = f"kernel.{name.rpartition('.')[2]}", host.number(name)
        if found is None:
            yield warn(check, f"{name} cannot be read")
        elif found < wanted:
            advice = (
                f"sysctl -w {name}={2 * wanted}, and a line `{name} = {2 * wanted}` in {_SYSCTL}"
            )
            what = f"{name} is {found}; relay.receive_buffer wants {wanted}"
            yield warn(check, what, advice)
        else:
            yield ok(check, f"{name} is {found}")


def _given(host: Host) -> Finding:
    wanted = host.config.relay.receive_buffer
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        given = set_receive_buffer(udp, wanted)
    if given < wanted:
        what = f"a socket gets {given} bytes of receive buffer, of {wanted}"
        return warn(
            "kernel.buffer", what, "raise net.core.rmem_max, or datagrams are lost in a replacement"
        )
    return ok("kernel.buffer", f"a socket gets {given} bytes of receive buffer")


def _backlog(host: Host) -> Finding:
    found = host.number("net.core.somaxconn")
    if found is not None and found < BACKLOG:
        advice = f"sysctl -w net.core.somaxconn={BACKLOG}"
        what = f"net.core.somaxconn is {found}: of {BACKLOG} connections fewer can wait"
        return warn("kernel.somaxconn", what, advice)
    return ok("kernel.somaxconn", f"net.core.somaxconn is {found}")


def _descriptors(host: Host) -> Finding:
    wanted = host.config.signaling.max_connections * _PER_CONNECTION + _RESERVE
    limit = _limit_of(host)
    if limit < wanted:
        advice = f"LimitNOFILE={max(wanted, 65536)} in the unit, or ulimit -n"
        what = f"a process may open {limit} files; signaling.max_connections may take {wanted}"
        return fail("kernel.nofile", what, advice)
    return ok("kernel.nofile", f"a process may open {limit} files")


def _limit_of(host: Host) -> int:
    """Hard limit of the appliance, if it runs and we may look, else ours."""
    if host.status is not None:
        try:
            for line in host.proc.joinpath(str(host.status.pid), "limits").read_text().splitlines():
                if line.startswith("Max open files"):
                    return int(line.split()[4])
        except (OSError, ValueError, IndexError):
            pass
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return hard if hard >= 0 else 1 << 30


def _lost(host: Host) -> Iterator[Finding]:
    """Datagrams that the kernel has dropped because nobody read our sockets in time."""
    if host.status is None:
        return
    ports = {endpoint.port for endpoint in host.status.listen}
    dropped = 0
    for table in ("udp", "udp6"):
        try:
            lines = host.proc.joinpath("net", table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if len(fields) > 12 and int(fields[1].rpartition(":")[2], 16) in ports:
                dropped += int(fields[12])
    if dropped:
        yield warn(
            "kernel.dropped",
            f"the kernel has dropped {dropped} datagrams at the public sockets: nobody read them in time",
            "more relay.workers, a larger relay.receive_buffer, or fewer other programs on these CPUs",
        )
    else:
        yield ok("kernel.dropped", "no datagram was dropped at the public sockets")
