"""How often somebody may call: a bucket of tokens for each address and each API key.

A bucket holds as many calls as a minute allows and fills up evenly, so a burst is fine and a stream is
not. Sans-IO: names and `now` in, seconds to wait out.
"""

from __future__ import annotations

from collections import OrderedDict
from ipaddress import IPv4Address, IPv6Address
from typing import Final, TypeAlias

MAX_BUCKETS: Final = 16_384
"""Those that have not been used for longest go first; they are the fullest, so little is forgiven."""
_MINUTE: Final = 60.0

Address: TypeAlias = IPv4Address | IPv6Address


class Buckets:
    """One for each name that has lately been seen."""

    def __init__(self) -> None:
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """Tokens that were in it, and when."""

    def take(self, name: str, per_minute: int, now: float) -> float:
        """Take a token: 0, or the seconds until there is one. No limit (0) is never a wait."""
        if per_minute <= 0:
            return 0.0
        level, since = self._levels.pop(name, (float(per_minute), now))
        rate = per_minute / _MINUTE
        level = min(float(per_minute), level + max(0.0, now - since) * rate)
        wait = 0.0 if level >= 1 else (1 - level) / rate
        self._levels[name] = (level if wait else level - 1, now)
        if len(self._levels) > MAX_BUCKETS:
            self._levels.popitem(last=False)
        return wait


def neighbourhood(address: Address) -> str:
    """Whose bucket it is: an IPv6 client has a whole /64 to call from."""
    if isinstance(address, IPv4Address):
        return str(address)
    return f"{IPv6Address(int(address) >> 64 << 64)}/64"
