from __future__ import annotations

import tomllib
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from config.lines import LineIndex
from config.problems import KeyPath

TEXT = '''\
title = "no table"  # [not.a.table]
[relay]
listen = [
  "0.0.0.0:1",  # a ] in a comment

  "0.0.0.0:2", "0.0.0.0:3",
  ["nested",
   { deep = 1 }
   ] ]
"quoted = key" = """
[inside]
x = 1 \\"""
"""
a . 'b.c' = 1.5
[ufrag.keys]
a = 1979-05-27 07:32:00
[[site]]
name = {first = "a", second.third = """
x
"""}
[site.inner]
x = 1
[[site]]
name = "b"
[site.inner]
x = 2
last = true
'''


def test_every_key_has_its_line() -> None:
    tomllib.loads(TEXT)
    index = LineIndex(TEXT)
    expected: dict[KeyPath, int] = {
        ("title",): 1,
        ("relay",): 2,
        ("relay", "listen"): 3,
        ("relay", "listen", 0): 4,
        ("relay", "listen", 1): 6,
        ("relay", "listen", 2): 6,
        ("relay", "listen", 3): 7,
        ("relay", "listen", 3, 1, "deep"): 8,
        ("relay", "quoted = key"): 10,
        ("relay", "a", "b.c"): 14,
        ("ufrag", "keys", "a"): 16,
        ("site",): 17,
        ("site", 0, "name", "first"): 18,
        ("site", 0, "name", "second", "third"): 18,
        ("site", 0, "inner", "x"): 22,
        ("site", 1, "name"): 24,
        ("site", 1, "inner", "x"): 26,
        ("site", 1, "inner", "last"): 27,
    }
    assert {path: index.find(path) for path in expected} == expected


def test_the_nearest_table_stands_in() -> None:
    index = LineIndex("\n[relay]\nworkers = 1\n")
    assert index.find(("relay", "missing", 3)) == 2
    assert index.find(("nowhere",)) is None
    assert index.find(()) is None


def paths(value: object, path: KeyPath = ()) -> Iterator[KeyPath]:
    yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from paths(inner, (*path, key))
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from paths(inner, (*path, position))


PIECES = (
    "[a]\n",
    "[[a]]\n",
    "[a.b]\n",
    "[[a.b]]\n",
    "x = 1\n",
    "y = [1,\n2]\n",
    "'q r'.z = '''\n'''\n",
    'w = """\\\n""""\n',
    "v = {k = 1.5, l = [{m = 1}]}\n",
    "# note ' \" [\n",
    "u = 'a # b'\n",
    "t = 07:32:00\n",
    "\n",
)


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_whatever_toml_accepts_has_a_line(text: str) -> None:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    index = LineIndex(text)
    last = text.count("\n") + 1
    for path in paths(data):
        line = index.find(path)
        assert path == () or (line is not None and 1 <= line <= last)
        if path and isinstance(path[-1], str) and line is not None:
            assert path[-1] in text.splitlines()[line - 1]
