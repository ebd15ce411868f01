"""The source tree as the architecture tests see it: modules by name, parsed once."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[2]
PACKAGES: Final = ("config", "ipc", "workers", "appliance")


def _sans_io() -> tuple[str, ...]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    (sans_io,) = (c for c in contracts if c["name"].startswith("Sans-IO"))
    return tuple(sans_io["source_modules"])


SANS_IO: Final = _sans_io()
"""Bytes and `now` in, values out: what the import contract of that name lists."""


class Module(NamedTuple):
    """One file of the product."""

    name: str
    path: Path
    text: str
    tree: ast.Module

    @property
    def file(self) -> str:
        """Path from the root of the tree."""
        return str(self.path.relative_to(ROOT))

    @property
    def is_sans_io(self) -> bool:
        """True if this module may do no input or output."""
        return any(self.name == area or self.name.startswith(f"{area}.") for area in SANS_IO)

    def at(self, node: ast.AST) -> str:
        """`file:line` of a node, as an editor opens it."""
        return f"{self.file}:{getattr(node, 'lineno', 1)}"

    def definitions(self) -> Iterator[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
        """All classes and functions, nested ones too."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                yield node


@cache
def modules() -> tuple[Module, ...]:
    """Every module of the product that is not an empty `__init__`."""
    found = []
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            if text.strip():
                found.append(Module(name, path, text, ast.parse(text, str(path))))
    return tuple(found)


def dotted(node: ast.AST) -> str:
    """`a.b.c` of a name or attribute, else an empty string."""
    match node:
        case ast.Name():
            return node.id
        case ast.Attribute():
            head = dotted(node.value)
            return f"{head}.{node.attr}" if head else ""
        case _:
            return ""
