"""Numbers of transceivers: leased, so that two hosts of a cluster never have the same one.

A number is part of every route, and a relay that met two transceivers of one number could not tell whose a
ufrag is. (The epoch would mostly tell them apart; that is the second line of defence, not the first.)

Redis holds who has which number and until when. The script there is one atomic step: it prolongs what this
host has, gives it free numbers for what it lacks, and takes nothing from anybody whose time is not over. A
registry that is empty may have lost what it knew, so for its first seconds it only takes in what hosts say
that they have, and gives out nothing new.

A host keeps its numbers over restarts, in its state directory, and serves with them when Redis is away.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from config.ids import Instant, TransceiverId

LEASE: Final = 86_400
"""Seconds that a number is a host's after it was last prolonged."""
RENEW: Final = 60.0
RETRY: Final = 0.5
"""Seconds until the next try, as long as numbers are missing."""
SETTLE: Final = 3
"""Whole seconds in which an empty registry gives out nothing: four beats of those who live at least."""
NONE: Final = -1

SCRIPT: Final = """
local now = tonumber(redis.call('TIME')[1])
local host, lease, settle = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local wanted, first = tonumber(ARGV[4]), tonumber(ARGV[5])
local born = tonumber(redis.call('HGET', KEYS[1], 'born'))
if not born then
  born = now
  redis.call('HSET', KEYS[1], 'born', now)
end
local given, mine = {}, {}
local function take(id)
  if mine[id] then return false end
  local owner = redis.call('HGET', KEYS[1], id)
  if owner then
    local name, till = owner:match('^(%x+) (%d+)$')
    if name and name ~= host and tonumber(till) >= now then return false end
  end
  redis.call('HSET', KEYS[1], id, host .. ' ' .. (now + lease))
  mine[id] = true
  return true
end
for i = 1, wanted do
  local id = tonumber(ARGV[5 + i] or '-1')
  given[i] = (id >= 0 and take(id)) and id or -1
end
local id = first
for i = 1, wanted do
  if given[i] < 0 and now - born >= settle then
    while id < 65536 and not take(id) do id = id + 1 end
    if id < 65536 then given[i] = id end
  end
end
redis.call('EXPIRE', KEYS[1], 30 * lease)
return given
"""
"""KEYS: a cluster's numbers. ARGV: host, LEASE, SETTLE, how many, where to search, those it has."""


class LeaseRequest(NamedTuple):
    """What to ask the registry."""

    wanted: int
    first: int
    held: tuple[TransceiverId, ...]


class Lease:
    """Which numbers this host has, and when to ask for them again."""

    def __init__(self, first: int) -> None:
        """`first`: where the search for free numbers begins."""
        self._first = first
        self._wanted = 0
        self._ids: tuple[TransceiverId, ...] = ()
        self._due: Instant = 0.0

    def want(self, wanted: int, ids: Sequence[TransceiverId], now: Instant) -> None:
        """So many are needed; these are had, as far as they are known to whoever says so."""
        if len(self._ids) < len(ids):
            self._ids = tuple(ids)
        if wanted != self._wanted:
            self._wanted, self._due = wanted, now

    def lost(self, now: Instant) -> None:
        """The registry has forgotten us: say at once what we have."""
        self._due = now

    def request(self, now: Instant) -> LeaseRequest | None:
        """What to ask now, if anything."""
        if not self._wanted or now < self._due:
            return None
        return LeaseRequest(self._wanted, self._first, self._ids)

    def granted(self, reply: Sequence[int], now: Instant) -> tuple[TransceiverId, ...] | None:
        """What came of it: this host's numbers, by index, or None if it does not have all yet.

        Raises ValueError if that is no reply to what was asked.
        """
        if len(reply) != self._wanted or not all(NONE <= number < 1 << 16 for number in reply):
            raise ValueError("no numbers")
        numbers = [number for number in reply if number != NONE]
        if len(set(numbers)) != len(numbers):
            raise ValueError("a number twice")
        if len(numbers) < self._wanted:
            self._due = now + RETRY
            return None
        self._due = now + RENEW
        self._ids = tuple(map(TransceiverId, numbers))
        return self._ids
