"""Setting up: what is locked, what is declared, and what a newcomer is told when something is missing."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.support.tree import PACKAGES, ROOT, modules

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
BUILD_TIME = {"cffi", "setuptools"}
"""For `workers/native`: comes with cryptography; never imported when running."""


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def declared() -> set[str]:
    names = (re.match(r"[\w.-]+", line) for line in PROJECT["project"]["dependencies"])
    return {canonical(found[0]) for found in names if found}


def locked(lock: Path) -> set[str]:
    return {canonical(name) for name in re.findall(r"^([\w.-]+)==", lock.read_text(), re.MULTILINE)}


def test_what_is_declared_is_locked() -> None:
    assert declared() <= locked(ROOT / "requirements/runtime.txt")


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_has_a_hash_for_everything_and_no_address(lock: Path) -> None:
    entries = re.split(r"^(?=[\w.-]+==)", lock.read_text(), flags=re.MULTILINE)[1:]
    assert entries
    for entry in entries:
        assert "--hash=sha256:" in entry, entry.splitlines()[0]
    assert "://" not in lock.read_text()


def test_what_is_imported_is_declared() -> None:
    """What merely happens to be there because something else needs it may be gone tomorrow."""
    distributions = packages_distributions()
    missing = set()
    for module in modules():
        for node in ast.walk(module.tree):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            for name in {name.partition(".")[0] for name in names}:
                if name in sys.stdlib_module_names or name in PACKAGES:
                    continue
                owners = {canonical(owner) for owner in distributions.get(name, [name])}
                # pydantic_core is pydantic's other half, and pinned by it.
                if not owners & (declared() | BUILD_TIME | {"pydantic-core"}):
                    missing.add(f"{module.at(node)}: {name} is not in pyproject's dependencies")
    assert not missing, "\n" + "\n".join(sorted(missing))


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / ".ci", tmp_path / ".ci")
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "id").write_text("#!/bin/sh\necho 1000\n")
    (tools / "id").chmod(0o755)
    return tmp_path


def bootstrap(clone: Path, python: Path | str) -> subprocess.CompletedProcess[str]:
    environ = {
        **os.environ,
        "PATH": f"{clone}/tools:{os.environ['PATH']}",
        "PYTHON": str(python),
    }
    return subprocess.run(
        [clone / ".ci/bootstrap", "venv"], capture_output=True, text=True, env=environ, check=False
    )


def script(clone: Path, body: str) -> Path:
    path = clone / "tools/python"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def test_without_python_one_line_says_what_to_install(clone: Path) -> None:
    done = bootstrap(clone, clone / "nothing")
    assert done.returncode == 1
    assert done.stderr == "tandem: 'python3' is missing; run: sudo apt install python3\n"


def test_without_venv_one_line_says_what_to_install(clone: Path) -> None:
    python = script(clone, 'case "$2" in *ensurepip*) exit 1;; *) exit 0;; esac')
    done = bootstrap(clone, python)
    assert done.returncode == 1
    assert done.stderr == "tandem: 'python3-venv' is missing; run: sudo apt install python3-venv\n"


def test_a_python_that_is_too_old_is_named(clone: Path) -> None:
    python = script(clone, 'case "$*" in -V) echo Python 3.9.2;; *version_info*) exit 1;; esac')
    done = bootstrap(clone, python)
    assert done.returncode == 1
    assert done.stderr.startswith("tandem: Python 3.9.2 is too old")


def test_ci_runs_what_the_readme_tells() -> None:
    assert "    make test " in (ROOT / "README.md").read_text(encoding="utf-8")
    assert (ROOT / ".ci/run").read_text(encoding="utf-8").rstrip().endswith("exec make test")


def test_make_run_needs_nothing_of_the_tests() -> None:
    done = subprocess.run(
        ["make", "--dry-run", "--always-make", "run", "CONFIG=x y.toml"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("MAKE")},
    )
    assert '.venv/bin/tandem run -c "x y.toml"' in done.stdout
    assert "requirements/runtime.txt" in done.stdout
    for other in ("test.txt", "bench.txt", "chromium", "peers"):
        assert other not in done.stdout
