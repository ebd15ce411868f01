"""By what names this machine may be asked for."""

from __future__ import annotations

from ipaddress import ip_address


def is_local(host: str) -> bool:
    """`Host` names this machine: an address or `localhost`, with a port or without; or it is empty."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    if name in ("", "localhost"):
        return True
    try:
        ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True
