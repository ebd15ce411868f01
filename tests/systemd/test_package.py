"""The package: what is in it, and that building it again gives the same bytes."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.systemd.conftest import build


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
    assert not [path for path in paths if "__pycache__" in path or "direct_url" in path]
    for wanted in (
        "./usr/bin/tandem -> /opt/tandem/bin/tandem",
        "./usr/lib/systemd/system/tandem.service",
        "./usr/share/man/man1/tandem.1.gz",
        "./usr/share/bash-completion/completions/tandem",
        "./etc/tandem/tandem.toml",
    ):
        assert wanted in paths
    assert any("/workers/native/_fastpath" in path for path in paths)
