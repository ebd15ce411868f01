"""Which pages may call: a browser says whose page it is that sends something (RFC 6454)."""

from __future__ import annotations

from collections.abc import Collection

from workers.http.problems import ProblemKind, Refused


def check_origin(origin: str, host: str, allowed: Collection[str]) -> None:
    """Pages of our own and of those allowed may, and whatever is no page. Raises Refused (FORBIDDEN)."""
    if not origin or "*" in allowed or origin in allowed:
        return
    if origin.partition("://")[2] != host:
        raise Refused(ProblemKind.FORBIDDEN, "pages of that origin may not call")
