"""What a worker process is started with."""

from __future__ import annotations

from pathlib import Path

from appliance.supervisor.process import worker_environment


def test_the_environment_is_minimal_and_finds_our_code() -> None:
    ours = {"PATH": "/bin", "LC_ALL": "C.UTF-8", "SECRET": "x", "NOTIFY_SOCKET": "/n", "TERM": "t"}
    theirs = worker_environment(ours)
    tree = Path(__file__).resolve().parents[3]
    assert theirs == {"PATH": "/bin", "LC_ALL": "C.UTF-8", "TERM": "t", "PYTHONPATH": str(tree)}
