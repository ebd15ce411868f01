from __future__ import annotations

import msgspec

from config.ids import ClusterId, HostId
from ipc.messages.fleet import FleetHost
from workers.fleet.core.own import Own

HOST = FleetHost(HostId("a" * 16), ClusterId(3), "ready", sessions=4)


def test_before_anything_is_known_nothing_is_said() -> None:
    assert Own(1).beat() is None


def test_a_version_is_raised_by_what_lasts_only() -> None:
    own = Own(9)
    assert own.describe(HOST)
    first = own.beat()
    assert not own.describe(msgspec.structs.replace(HOST, sessions=5))
    second = own.beat()
    assert own.describe(msgspec.structs.replace(HOST, state="draining"))
    third = own.beat()
    assert first is not None
    assert second is not None
    assert third is not None
    assert [b.version for b in (first, second, third)] == [1, 1, 2]
    assert [b.count for b in (first, second, third)] == [1, 2, 3]
    assert [b.sessions for b in (first, second, third)] == [4, 5, 4]
    assert third.incarnation == 9


def test_who_has_read_something_else_reads_again() -> None:
    own = Own(9)
    own.describe(HOST)
    own.again()
    beat = own.beat()
    assert beat is not None
    assert beat.version == 2
