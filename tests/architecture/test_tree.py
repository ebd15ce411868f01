"""The tree is what it seems: our names are ours, tests mirror it, every package ships."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from tests.support.tree import PACKAGES, ROOT, modules


@pytest.mark.parametrize("name", PACKAGES)
def test_a_plain_name_is_ours(name: str, tmp_path: Path) -> None:
    """`config` or `workers` could be somebody else's top-level package; here and from anywhere."""
    assert Path(import_module(name).__path__[0]) == ROOT / name
    done = subprocess.run(
        [sys.executable, "-P", "-c", f"import {name}; print({name}.__path__[0])"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert Path(done.stdout.strip()) == ROOT / name


@pytest.mark.parametrize(
    "name", [m.name for m in modules() if m.is_sans_io and m.path.name != "__init__.py"]
)
def test_every_pure_module_has_a_test_file_of_its_own(name: str) -> None:
    *folders, module = name.split(".")
    folder = ROOT.joinpath("tests", *folders)
    found = [*folder.glob(f"test_{module}.py"), *folder.glob(f"test_{module}_*.py")]
    # Interfaces and message types are declarations; they are tested where they are used.
    declared = module in ("interface", "types") or name.startswith("ipc.messages.")
    assert found or declared, f"{folder.relative_to(ROOT)}/test_{module}.py is missing"


def test_every_folder_of_code_is_a_package_and_ships() -> None:
    missing = {
        str(module.path.parent.relative_to(ROOT))
        for module in modules()
        if not (module.path.parent / "__init__.py").exists()
    }
    assert not missing, "an __init__.py is missing in these"


def test_every_core_is_under_the_sans_io_contract() -> None:
    pure = {"core", "wire", "audio"}
    outside = [m.name for m in modules() if pure & set(m.name.split(".")) and not m.is_sans_io]
    assert not outside, "these are in a core but not in the contract"


def test_the_import_contracts_hold() -> None:
    """`make lint` says the same; here so that the test suite alone is enough."""
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout
