"""Who a peer of the control socket says it is, and how often that is worth a line."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from appliance.supervisor.core.interface import ProcessId
from appliance.supervisor.shell import FIRST_LINES, parse_identity, worth_a_line
from config.ids import WorkerName
from ipc.control import identity


def test_is_the_inverse_of_what_workers_use() -> None:
    process = ProcessId(WorkerName("relay-0"), 7)
    assert parse_identity(identity("relay-0", 7, 99)) == (process, 99)


@given(st.binary(max_size=64))
def test_anything_else_is_nobody(peer: bytes) -> None:
    process, pid = parse_identity(peer)
    assert isinstance(process, ProcessId)
    assert isinstance(pid, int)


def test_a_peer_that_is_rejected_for_ever_does_not_fill_the_disk() -> None:
    assert all(worth_a_line(times) for times in range(1, FIRST_LINES + 1))
    assert sum(worth_a_line(times) for times in range(1_000_000)) < FIRST_LINES + 20
