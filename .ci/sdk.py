"""Builds `build/tandem_backend-VERSION-py3-none-any.whl`: the SDK of back ends, without the rest.

    python .ci/sdk.py [DIRECTORY]

It takes `ipc/backend` and the files of `ipc` under it, and renames what they import: one top-level name,
`tandem_backend`, which clashes with nobody's `ipc`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

TREE = Path(__file__).resolve().parents[1]
NAME = "tandem_backend"
UNDER = ("zmq_trio", "probe", "socket_file", "closing", "curve")
"""Modules of `ipc` that the SDK stands on."""
NEEDS = ("trio", "msgspec", "pyzmq")
PROJECT = """\
[build-system]
requires = ["setuptools>=80"]
build-backend = "setuptools.build_meta"

[project]
name = "tandem-backend"
version = "{version}"
description = "Write a back end for Tandem: hear calls and speak to them, without knowing what WebRTC is."
license = "Apache-2.0"
license-files = ["LICENSE"]
readme = "README.md"
requires-python = ">=3.11"
dependencies = {needs}

[tool.setuptools]
packages = ["{name}"]
package-data = {{ "{name}" = ["py.typed"] }}
"""


def renamed(source: str) -> str:
    """That module, with what it imports of ours under the new name."""
    source = re.sub(r"\bipc\.backend\b", NAME, source)
    # Of ipc.codec only a bound is taken, which the protocol's own codec has, too.
    return re.sub(rf"\bipc\.({'|'.join(UNDER)}|codec)\b", rf"{NAME}.\1", source)


def lay_out(directory: Path) -> None:
    """The source of the package, complete."""
    package = directory / NAME
    package.mkdir(parents=True)
    sources = [*(TREE / "ipc" / "backend").glob("*.py")]
    sources += [TREE / "ipc" / f"{module}.py" for module in UNDER]
    for source in sources:
        (package / source.name).write_text(renamed(source.read_text()))
    (package / "py.typed").touch()
    project = tomllib.loads((TREE / "pyproject.toml").read_text())["project"]
    needs = [need for need in project["dependencies"] if re.match(r"[\w.-]+", need)[0] in NEEDS]
    text = PROJECT.format(version=project["version"], needs=needs, name=NAME)
    (directory / "pyproject.toml").write_text(text)
    shutil.copy(TREE / "LICENSE", directory)
    shutil.copy(TREE / "docs" / "backend.md", directory / "README.md")


def build(destination: Path) -> None:
    """The wheel, there."""
    source = destination / "sdk"
    shutil.rmtree(source, ignore_errors=True)
    lay_out(source)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--no-build-isolation", "--wheel-dir", destination, source]
    subprocess.run(command, check=True)


if __name__ == "__main__":
    build(Path(sys.argv[1]) if len(sys.argv) > 1 else TREE / "build")
