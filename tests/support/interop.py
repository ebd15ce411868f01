"""Which test shows what of which client; `python -m tests.support.interop` writes docs/interop.md of it."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Final, ParamSpec, TypeVar

from tests.support.tree import ROOT

P = ParamSpec("P")
R = TypeVar("R")

PAGE: Final = ROOT / "docs/interop.md"
_TESTS: Final = ROOT / "tests/interop"
_HEAD: Final = """\
# Who it has talked to

Made of the tests by `python -m tests.support.interop`; each mark leads to the one that would fail. \
`make test` runs them all, against a whole appliance, with the clients' own releases: Debian's Chromium, \
Firefox, Pion and GStreamer, and aiortc from PyPI.

"""
_FOOT: Final = """
Offers of these in every bundle policy are answered by unit tests besides \
([recorded](../tests/fixtures/offers/README.md)), and those of Safari, \
which are written by hand after public ones.
"""


def shows(client: str, *features: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """The decorated test would fail if one of these did not work with that client."""
    assert client
    assert features
    return lambda test: test


def shown() -> Iterator[tuple[str, str, str]]:
    """Client, feature, and the file of the test, in the order of the files."""
    for path in sorted(_TESTS.glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef):
                for decorator in node.decorator_list:
                    if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "shows":
                        client, *features = (ast.literal_eval(each) for each in decorator.args)
                        for feature in features:
                            yield client, feature, path.name


def page() -> str:
    """The text of docs/interop.md."""
    where: dict[str, dict[str, str]] = defaultdict(dict)
    for client, feature, path in shown():
        where[feature].setdefault(client, path)
    clients = sorted({client for by_client in where.values() for client in by_client})
    lines = [f"| | {' | '.join(clients)} |", f"|---|{':-:|' * len(clients)}"]
    for feature in sorted(where, key=lambda name: (-len(where[name]), name)):
        marks = (
            f"[✓](../tests/interop/{file})" if (file := where[feature].get(client)) else ""
            for client in clients
        )
        lines.append(f"| {feature} | {' | '.join(marks)} |")
    return _HEAD + "\n".join(lines) + "\n" + _FOOT


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
