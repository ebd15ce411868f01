"""What is left of a dead supervisor ends, unless another one comes for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.supervisor.aftermath import is_over, main
from appliance.supervisor.in_force import InForce
from config.model import Config
from ipc.roster import living
from tests.ipc.test_roster import worker


def end(result: str, code: str = "exited", status: str = "0") -> dict[str, str]:
    return {"SERVICE_RESULT": result, "EXIT_CODE": code, "EXIT_STATUS": status}


@pytest.mark.parametrize(
    ("how", "in_force", "over"),
    [
        (end("success"), False, True),  # stopped, and ended in order
        (end("success"), True, True),
        (end("timeout", "killed", "KILL"), True, True),  # hung, and was to stop
        (end("signal", "killed", "KILL"), False, True),  # killed while it stopped
        (end("exit-code", "exited", "78"), True, True),  # not started again
        (end("signal", "killed", "KILL"), True, False),
        (end("exit-code", "exited", "70"), True, False),
        (end("watchdog", "dumped", "ABRT"), True, False),
        (end("oom-kill", "killed", "KILL"), True, False),
        ({}, True, True),
    ],
)
def test_whether_anybody_comes(how: dict[str, str], in_force: bool, over: bool) -> None:
    assert is_over(how, in_force=in_force) is over


def test_workers_are_ended_or_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workers = tmp_path / "workers"
    environ = {"RUNTIME_DIRECTORY": str(tmp_path)}
    main(environ | end("success"))
    workers.mkdir()
    InForce(tmp_path).keep(Config())
    with worker(workers, 5), worker(workers, 6):
        main(environ | end("signal", "killed", "KILL"))
        assert len(living(workers)) == 2
        main(environ | end("success"))
        assert living(workers) == {}
    assert capsys.readouterr().err == "ended 2 workers that were left behind\n"
