"""The product as a package manager installs it, in a tree of its own and under a version of our choice."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.support.tree import PACKAGES, ROOT


def install(tree: Path, release: str) -> None:
    """Put the product there, calling itself that version."""
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package,
            tree / package,
            copy_function=_replace,  # with what is compiled, which saves each process seconds
            dirs_exist_ok=True,
        )
    for found in tree.glob("tandem-*.dist-info"):
        shutil.rmtree(found)
    about = tree / f"tandem-{release}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: tandem\nVersion: {release}\n")


def break_module(tree: Path, name: str) -> None:
    """Somebody's mistake in the new version."""
    with (tree / name).open("a") as file:
        file.write('\nraise RuntimeError("a mistake of the new version")\n')


def _replace(source: str, target: str) -> None:
    """As a package manager does: what runs keeps the old file."""
    fresh = f"{target}.new"
    shutil.copy2(source, fresh)
    Path(fresh).replace(target)
