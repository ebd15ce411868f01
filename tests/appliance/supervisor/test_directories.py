"""Where things are kept, and that one supervisor at a time keeps them there."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from appliance.supervisor import directories
from appliance.supervisor.directories import (
    SupervisorLock,
    find_admin_socket,
    find_state,
    prepare_runtime,
    prepare_state,
    runtime_directory,
    state_directory,
)
from appliance.supervisor.problems import EXIT_CONFIG, EXIT_UNAVAILABLE, CannotStart
from config.model import SupervisorSection

EMPTY = SupervisorSection()


def test_what_the_operator_says_comes_first(tmp_path: Path) -> None:
    section = SupervisorSection(runtime_directory=str(tmp_path), state_directory="/s")
    environ = {"RUNTIME_DIRECTORY": "/run/x", "STATE_DIRECTORY": "/var/lib/x"}
    assert runtime_directory(section, environ) == tmp_path
    assert state_directory(section, environ) == Path("/s")
    assert find_admin_socket(section, environ) == tmp_path / "admin.sock"


def test_then_systemd_then_the_user() -> None:
    environ = {"RUNTIME_DIRECTORY": "/run/x:/run/y", "STATE_DIRECTORY": "/var/lib/x:/var/lib/y"}
    assert runtime_directory(EMPTY, environ) == Path("/run/x")
    assert state_directory(EMPTY, environ) == Path("/var/lib/x")
    assert state_directory(EMPTY, {"XDG_STATE_HOME": "/h/state"}) == Path("/h/state/tandem")
    assert state_directory(EMPTY, {}) == Path.home() / ".local/state/tandem"


def test_an_operator_means_the_state_of_the_unit_if_its_appliance_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directories, "_SYSTEM_STATE", unit := tmp_path / "lib")
    environ = {"XDG_STATE_HOME": str(tmp_path), "RUNTIME_DIRECTORY": str(tmp_path)}
    own = tmp_path / "tandem"
    assert find_state(EMPTY, environ) == own, "there is no unit"
    unit.mkdir()
    assert find_state(EMPTY, environ) == unit, "nothing runs, and only the unit has been here"
    own.mkdir()
    assert find_state(EMPTY, environ) == own, "nothing runs, and both have been here"
    (tmp_path / "admin.sock").touch()
    assert find_state(EMPTY, environ) == unit, "whoever owns the one owns the other"
    if os.geteuid() == 0:
        os.chown(unit, 12345, -1)
        assert find_state(EMPTY, environ) == own, "another user's appliance runs"
    section = SupervisorSection(state_directory="/s")
    assert find_state(section, environ) == Path("/s")
    assert find_state(EMPTY, environ | {"STATE_DIRECTORY": "/x"}) == Path("/x")


def test_a_socket_that_may_not_be_looked_at_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def is_socket(path: Path) -> bool:
        if path.parent == Path("/run/tandem"):
            raise PermissionError
        return False

    monkeypatch.setattr(Path, "is_socket", is_socket)
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    assert find_admin_socket(EMPTY, {}) == Path("/run/tandem/admin.sock")


def test_a_user_has_a_runtime_directory_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    assert runtime_directory(EMPTY, {"XDG_RUNTIME_DIR": "/run/user/1234"}) == Path(
        "/run/user/1234/tandem"
    )
    assert runtime_directory(EMPTY, {}).name == "tandem-1234"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert runtime_directory(EMPTY, {}) == Path("/run/tandem")


def test_workers_have_a_directory_that_nobody_else_can_enter(tmp_path: Path) -> None:
    runtime = tmp_path / "r"
    workers = prepare_runtime(runtime)
    assert workers == runtime / "workers"
    assert stat.S_IMODE(workers.stat().st_mode) == 0o700
    workers.chmod(0o755)
    prepare_runtime(runtime)
    assert stat.S_IMODE(workers.stat().st_mode) == 0o700
    assert not runtime.stat().st_mode & 0o007


def test_directories_that_will_not_do(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="too long"):
        prepare_runtime(tmp_path / ("x" * 90))
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    with pytest.raises(CannotStart, match="everybody may write"):
        prepare_runtime(shared)
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(CannotStart) as caught:
        prepare_state(file / "below")
    assert caught.value.problems[0].startswith("supervisor.state_directory: ")
    assert caught.value.code == EXIT_CONFIG


def test_a_second_supervisor_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    lock = SupervisorLock(tmp_path)
    assert not lock.predecessor_died
    with pytest.raises(CannotStart, match=f"process {os.getpid()}") as caught:
        SupervisorLock(tmp_path)
    assert caught.value.code == EXIT_UNAVAILABLE
    lock.release()
    again = SupervisorLock(tmp_path)
    assert not again.predecessor_died
    os.close(again._file)  # as if it had been killed
    third = SupervisorLock(tmp_path)
    assert third.predecessor_died
    third.release()
