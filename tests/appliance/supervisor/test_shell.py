"""Who a peer of the control socket says it is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from appliance.supervisor.core.interface import ProcessId
from appliance.supervisor.shell import parse_identity
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
