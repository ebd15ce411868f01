"""One machine for all tests here, with the package of this tree installed: of this host's Debian release,
or of the one that the environment names as RELEASE."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.support.tree import ROOT
from tests.systemd.machine import Machine, booted

RELEASE: Final = os.environ.get("RELEASE")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Namespaces, mounts and a package manager are root's; CI is root."""
    if os.geteuid() == 0 or os.environ.get("CI"):
        return
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.skip(reason="needs root; run: sudo make test-systemd"))


def build(directory: Path, version: str | None = None, epoch: str | None = None) -> Path:
    """Build the package of this tree."""
    environment = dict(os.environ)
    environment |= {} if version is None else {"VERSION": version}
    environment |= {} if epoch is None else {"SOURCE_DATE_EPOCH": epoch}
    done = subprocess.run(
        [ROOT / "systemd" / "build-deb", directory],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package."""
    return build(tmp_path_factory.mktemp("package"), epoch="1700000000")


@pytest.fixture(scope="module")
def machine(package: Path) -> Iterator[Machine]:
    """A machine on which it is installed and started."""
    with booted(ROOT / "build" / RELEASE / "root" if RELEASE else Path("/")) as machine:
        machine.install(package)
        machine.run("systemctl", "start", "tandem")
        yield machine
