"""The package: what is in it, and that building it again gives the same bytes."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Final

from packaging.markers import Marker

from tests.support.tree import ROOT
from tests.systemd.conftest import build

PINNED: Final = re.compile(r"^([\w.-]+)==([^\s;]+)(?: *; *([^\\]+))?", re.MULTILINE)
LICENCES: Final = {
    *("MIT", "MIT-0", "ISC", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0", "PSF-2.0"),
    *("MIT OR Apache-2.0", "Apache-2.0 OR BSD-2-Clause", "Apache-2.0 OR BSD-3-Clause"),
    "License :: OSI Approved :: Apache Software License",
    "License :: OSI Approved :: BSD License",
}
"""What may be in a package under Apache-2.0."""


def test_the_same_tree_gives_the_same_bytes(package: Path, tmp_path: Path) -> None:
    assert build(tmp_path, epoch="1700000000").read_bytes() == package.read_bytes()


def test_nothing_of_the_building_host_is_in_it(package: Path) -> None:
    listing = subprocess.run(
        ["dpkg-deb", "--contents", package], capture_output=True, text=True, check=True
    ).stdout
    paths = [line.split(maxsplit=5)[5] for line in listing.splitlines()]
    outside = [
        path
        for path in paths
        if not path.startswith(("./opt/tandem/", "./usr/", "./etc/tandem/"))
        and path not in {"./", "./opt/", "./etc/"}
    ]
    assert outside == []
    assert not [path for path in paths if "__pycache__" in path or "direct_url.json" in path]
    for wanted in (
        "./usr/bin/tandem -> /opt/tandem/bin/tandem",
        "./usr/lib/systemd/system/tandem.service",
        "./usr/share/man/man1/tandem.1.gz",
        "./usr/share/bash-completion/completions/tandem",
        "./etc/tandem/tandem.toml",
        "./usr/share/doc/tandem/examples/61-tandem-ports.conf",
        "./usr/share/doc/tandem/examples/privileged-ports.conf",
    ):
        assert wanted in paths
    assert any("/workers/native/_fastpath" in path for path in paths)


def test_it_says_what_it_is_made_of(package: Path) -> None:
    inventory = json.loads(package.with_suffix(".cdx.json").read_text(encoding="utf-8"))
    assert (inventory["bomFormat"], inventory["metadata"]["component"]["name"]) == (
        "CycloneDX",
        "tandem",
    )
    lock = (ROOT / "requirements/runtime.txt").read_text(encoding="utf-8")
    python = {"python_full_version": f"{python_of(package)}.0"}
    pinned = {
        f"{canonical(name)}@{version}"
        for name, version, marker in PINNED.findall(lock)
        if not marker or Marker(marker).evaluate(python)
    }
    purls = {component["purl"].removeprefix("pkg:pypi/") for component in inventory["components"]}
    assert {canonical(purl) for purl in purls} == pinned
    for component in inventory["components"]:
        named = {
            licence.get("expression") or licence["license"].get("id") or licence["license"]["name"]
            for licence in component["licenses"]
        }
        assert named <= LICENCES, component["name"]


def python_of(package: Path) -> str:
    """The Python that a package is for, like 3.11."""
    depends = subprocess.run(
        ["dpkg-deb", "--field", package, "Depends"], capture_output=True, text=True, check=True
    ).stdout
    found = re.search(r"python3 \(>= ([\d.]+)\)", depends)
    assert found, depends
    return found[1]


def canonical(name: str) -> str:
    return re.sub(r"[-_]+", "-", name).lower()
