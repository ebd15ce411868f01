"""The public address: can it be had, is it bound, does the page answer, may packets come in."""

from __future__ import annotations

import errno
import http.client
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from appliance.doctor.finding import Finding, fail, ok, warn
from appliance.doctor.host import Host
from appliance.supervisor.addresses import expand, own_addresses
from appliance.supervisor.binding import UNPRIVILEGED, may_bind
from config.ids import Endpoint
from ipc.messages.admin import StatusReply

WITHIN: Final = 2.0
"""Seconds for an answer of the page, and of a program that is asked."""


def check(host: Host) -> Iterator[Finding]:
    """All of it; what is bound if an appliance runs, else what could be."""
    config = host.config
    if host.status is None:
        yield from _privileged(host)
        yield from _free(host)
    else:
        if config.has_relays:
            yield _bound(host, host.status)
        if config.has_transceivers:
            yield _page(host.status)
            yield _advertised(host.status)
    if config.has_relays:
        yield _firewall(host)


def _bound(host: Host, status: StatusReply) -> Finding:
    there: set[int] = set()
    for table in ("udp", "udp6"):
        try:
            lines = host.proc.joinpath("net", table).read_text().splitlines()[1:]
        except OSError:
            continue
        there |= {int(line.split()[1].rpartition(":")[2], 16) for line in lines if line.strip()}
    missing = [str(e) for e in status.listen if e.port not in there]
    if missing or not status.listen:
        what = f"nobody is bound to {', '.join(missing) or 'any public address'}"
        return fail("ports.udp", what, "tandem status, and the log of the start")
    return ok("ports.udp", f"bound: {', '.join(f'{e}/udp' for e in status.listen)}")


def _page(status: StatusReply) -> Finding:
    if not status.page:
        return fail("ports.http", "there is no HTTP server", "signaling.listen")
    where = urlsplit(status.page)
    try:
        with closing(
            http.client.HTTPConnection(where.hostname or "", where.port, timeout=WITHIN)
        ) as connection:
            connection.request("GET", "/healthz")
            code = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return fail("ports.http", f"{status.page} does not answer: {error}", "tandem workers")
    if code != http.client.OK:
        return fail("ports.http", f"{status.page}healthz says {code}", "tandem workers")
    return ok("ports.http", f"{status.page} answers")


def _advertised(status: StatusReply) -> Finding:
    private = [str(e) for e in status.advertise if not ip_address(e.host).is_global]
    if private and len(private) == len(status.advertise):
        return warn(
            "ports.advertise",
            f"answers name private addresses only ({', '.join(private)}): clients elsewhere cannot come",
            'behind NAT name the public one: relay.advertise = ["203.0.113.7:3478"]',
        )
    return ok(
        "ports.advertise", f"answers name {', '.join(map(str, status.advertise)) or 'nothing'}"
    )


def _privileged(host: Host) -> Iterator[Finding]:
    """Ports that the service's user may not have; who looks may be root."""
    config = host.config
    endpoints = [*config.ops.listen, *config.admin.listen]
    if config.has_relays:
        endpoints += [*config.relay.listen, *config.relay.tcp_listen]
        endpoints += [config.cluster.ingress] if config.cluster.ingress else []
    if config.has_transceivers:
        endpoints += config.signaling.listen
    start = host.number(UNPRIVILEGED)
    low = sorted({e.port for e in endpoints if 0 < e.port < (1024 if start is None else start)})
    if low:
        what = f"{', '.join(map(str, low))}: below {UNPRIVILEGED}, which is {start}"
        judge = warn if os.geteuid() == 0 else fail
        yield judge("ports.privileged", what, may_bind(low[0]))


def _free(host: Host) -> Iterator[Finding]:
    relay = host.config.relay
    if host.config.has_relays:
        points = [point.endpoint for point in expand(relay.listen, own_addresses())]
        yield from _try("ports.udp", points, socket.SOCK_DGRAM)
        points = [point.endpoint for point in expand(relay.tcp_listen, own_addresses())]
        yield from _try("ports.tcp", points, socket.SOCK_STREAM)
    if host.config.has_transceivers:
        yield from _try("ports.http", host.config.signaling.listen, socket.SOCK_STREAM)


def _try(
    check: str, endpoints: list[Endpoint] | tuple[Endpoint, ...], kind: socket.SocketKind
) -> Iterator[Finding]:
    free = []
    for endpoint in endpoints:
        family = socket.AF_INET6 if endpoint.is_ipv6 else socket.AF_INET
        with socket.socket(family, kind) as probe:
            if endpoint.is_ipv6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if kind is socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(tuple(endpoint))
                free.append(str(endpoint))
            except OSError as error:
                yield fail(check, f"{endpoint}: {error.strerror}", _why_not(endpoint, error))
    if free:
        yield ok(check, f"free: {', '.join(free)}")


def _why_not(endpoint: Endpoint, error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return "ss -lunpt says who has it"
        case errno.EACCES:
            return may_bind(endpoint.port)
        case errno.EADDRNOTAVAIL:
            return "this host does not have that address: ip address"
        case _:
            return ""


def _firewall(host: Host) -> Finding:
    ports = sorted({endpoint.port for endpoint in host.config.relay.listen})
    wanted = ", ".join(f"UDP {port}" for port in ports)
    hint = f"let {wanted} in from everywhere"
    nft = shutil.which("nft")
    if nft is None:
        return ok("ports.firewall", f"not looked at (no nft here); {hint}")
    try:
        listed = subprocess.run(
            [nft, "list", "ruleset"], capture_output=True, text=True, timeout=WITHIN, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ok("ports.firewall", f"not looked at (nft does not answer); {hint}")
    if listed.returncode:
        return ok("ports.firewall", f"not looked at (that takes root); {hint}")
    return judge_rules(listed.stdout, ports, hint)


def judge_rules(rules: str, ports: list[int], hint: str) -> Finding:
    """What a rule set of nftables means for these ports, as far as words tell."""
    closed = [line for line in rules.splitlines() if "hook input" in line and "policy drop" in line]
    named = all(str(port) in rules for port in ports)
    if closed and not named:
        return warn(
            "ports.firewall", "nftables drops what no rule lets in, and none names the port", hint
        )
    return ok("ports.firewall", "nftables does not stand in the way, as far as can be seen")
