"""Only the process that was started under a name may speak for it."""

from __future__ import annotations

import msgspec
import pytest

from appliance.supervisor.core.identity import refusal
from appliance.supervisor.core.interface import ProcessId, Received
from appliance.supervisor.core.spec import WorkerSpec
from appliance.supervisor.core.worker import Worker
from config.ids import Role, WorkerName
from config.model import Config
from ipc.messages.lifecycle import Heartbeat, Hello, WorkerPhase

NAME = WorkerName("relay-0")
HELLO = Hello(1, NAME, Role.RELAY, 7, 99)
PROCESS = ProcessId(NAME, 7)


def ours() -> Worker:
    worker = Worker(WorkerSpec(NAME, Role.RELAY, 0), Config())
    worker.begin_process(7, None)
    worker.pid = 99
    return worker


def test_ours_is_welcome() -> None:
    assert refusal(ours(), Received(PROCESS, 99, HELLO)) == ""


def test_a_stranger_is_not() -> None:
    assert "no process relay-0:7" in refusal(None, Received(PROCESS, 99, HELLO))
    assert "is process 99, not 98" in refusal(ours(), Received(PROCESS, 98, HELLO))


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("version", 9, "speaks version 9"),
        ("pid", 98, "differ"),
        ("generation", 8, "differ"),
        ("role", Role.SIGNALING, "differ"),
        ("name", WorkerName("relay-1"), "differ"),
    ],
)
def test_a_hello_must_fit(field: str, value: object, why: str) -> None:
    hello = msgspec.structs.replace(HELLO, **{field: value})
    assert why in refusal(ours(), Received(PROCESS, 99, hello))


def test_hello_comes_first() -> None:
    worker = ours()
    beat = Received(PROCESS, 99, Heartbeat(WorkerPhase.READY))
    assert refusal(worker, beat) == "said something before Hello"
    worker.welcomed = True
    assert refusal(worker, beat) == ""
