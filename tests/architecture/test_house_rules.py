"""The rules of the house that neither the import contracts, the linter nor the type checker can see.

Each test gives all offences at once, as `file:line: what`.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator

import pytest

from tests.support.tree import ROOT, Module, dotted, modules
from workers.wire.types import DropReason

MAX_LINES = 450
A_REASON_OF_THE_DESIGN = re.compile(r"nothing_?in_?common", re.IGNORECASE)
FORBIDDEN_WORDS = {"util", "utils", "helper", "helpers", "common", "misc", "manager"}
VALUE_MODULES = re.compile(r"(ipc\.messages(\..*)?|config\.model|.*\.interface)")
BROAD_EXCEPT_ALLOWED = {
    "workers.transceiver.core.roster": "session isolation",
    "workers.transceiver.core.sessions": "session isolation: births",
    "workers.transceiver.backends.exchange": "session isolation: back ends",
    "ipc.rpc": "rpc handler",
    "appliance.supervisor.turns": "on its way to an rpc handler, from another task",
    "ipc.backend.serve": "call isolation: agents",
    "workers.fleet.redis": "whatever the library makes of a server's nonsense",
    "workers.process": "worker main",
    "appliance.supervisor.supervisor": "supervisor main",
    "workers.http.server": "guard around each HTTP connection",
}
PRINT_ALLOWED = re.compile(
    r"appliance\.cli(\..*)?|workers\.caller\.(__main__|table)"
    r"|workers\.process"  # to standard error, before there is a log
)
CLOCKS_AND_CHANCE = {
    "time", "monotonic", "perf_counter", "now", "utcnow", "today", "urandom", "getrandom", "token_bytes",
    "sleep", "open", "getenv",
}  # fmt: skip
"""Last names of calls that no core makes; imports of their modules are forbidden by contract."""


def check(offences: Iterator[str]) -> None:
    found = list(offences)
    assert not found, "\n" + "\n".join(found)


def test_no_module_is_longer_than_a_concept() -> None:
    check(
        f"{m.file}: {lines} lines, at most {MAX_LINES}"
        for m in modules()
        if (lines := m.text.count("\n")) > MAX_LINES
    )


def test_names_say_what_things_are() -> None:
    check(offence for m in modules() for offence in _vague_names(m))


def _vague_names(m: Module) -> Iterator[str]:
    names = [(m.file, part) for part in m.name.split(".")]
    names += [(m.at(node), node.name) for node in m.definitions()]
    for place, name in names:
        clear = A_REASON_OF_THE_DESIGN.sub("", name)
        words = {w.lower() for w in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+", clear)}
        if vague := words & FORBIDDEN_WORDS:
            yield f"{place}: {name}: '{vague.pop()}' says nothing"


def test_values_are_frozen() -> None:
    check(offence for m in modules() for offence in _thawed_values(m))


def _thawed_values(m: Module) -> Iterator[str]:
    for node in m.definitions():
        if not isinstance(node, ast.ClassDef):
            continue
        for decorator in node.decorator_list:
            call = decorator if isinstance(decorator, ast.Call) else None
            if dotted(call.func if call else decorator).split(".")[-1] != "dataclass":
                continue
            given = {k.arg for k in (call.keywords if call else []) if _is_true(k.value)}
            if "slots" not in given:
                yield f"{m.at(node)}: dataclass {node.name} has no slots"
            if VALUE_MODULES.fullmatch(m.name) and "frozen" not in given:
                yield f"{m.at(node)}: dataclass {node.name} is not frozen"
        bases = {dotted(base).split(".")[-1] for base in node.bases}
        if bases & {"Struct", "Tagged"}:
            frozen = any(k.arg == "frozen" and _is_true(k.value) for k in node.keywords)
            if VALUE_MODULES.fullmatch(m.name) and not frozen:
                yield f"{m.at(node)}: struct {node.name} is not frozen"


def _is_true(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is True


def test_events_and_outputs_are_nothing_but_values() -> None:
    """In an interface module every public class is a value, an enum or a protocol."""
    kinds = {
        "Struct",
        "Tagged",
        "NamedTuple",
        "Enum",
        "IntEnum",
        "StrEnum",
        "Protocol",
        "TypedDict",
    }
    check(
        f"{m.at(node)}: {node.name} is no value"
        for m in modules()
        if VALUE_MODULES.fullmatch(m.name) and m.name != "config.model"
        for node in m.tree.body
        if isinstance(node, ast.ClassDef)
        if not {dotted(base).split(".")[-1] for base in node.bases} & kinds
        if not any("dataclass" in ast.dump(d) for d in node.decorator_list)
    )


def test_a_match_on_a_union_proves_that_it_is_complete() -> None:
    """mypy refuses a `match` that leaves something out, unless a last `case _` swallows the rest."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "exhaustive-match" in project["tool"]["mypy"]["enable_error_code"]
    check(offence for m in modules() for offence in _swallowing_matches(m))


def _swallowing_matches(m: Module) -> Iterator[str]:
    """A `match` of which every case but the last is a class or an enum member is one on a union."""
    for node in ast.walk(m.tree):
        if not isinstance(node, ast.Match):
            continue
        *cases, last = node.cases
        kinds = [pattern for case in cases for pattern in _alternatives(case.pattern)]
        if (
            kinds
            and all(map(_is_kind, kinds))
            and not any(case.guard for case in cases)
            and isinstance(last.pattern, ast.MatchAs)
            and last.pattern.pattern is None
            and all(isinstance(statement, ast.Pass | ast.Continue) for statement in last.body)
        ):
            yield f"{m.at(last.pattern)}: the last case swallows what it does not know: assert_never"


def _alternatives(pattern: ast.pattern) -> list[ast.pattern]:
    if isinstance(pattern, ast.MatchAs) and pattern.pattern is not None:
        return _alternatives(pattern.pattern)
    return pattern.patterns if isinstance(pattern, ast.MatchOr) else [pattern]


def _is_kind(pattern: ast.pattern) -> bool:
    if isinstance(pattern, ast.MatchClass):
        inner = (*pattern.patterns, *pattern.kwd_patterns)
        captures = all(isinstance(p, ast.MatchAs) and p.pattern is None for p in inner)
        return captures and dotted(pattern.cls).split(".")[-1][:1].isupper()
    return isinstance(pattern, ast.MatchValue) and isinstance(pattern.value, ast.Attribute)


def test_every_reason_for_a_drop_is_somebodys() -> None:
    """Reasons are the words of logs, metrics and the command line: none that never comes."""
    given = {
        node.attr
        for m in modules()
        for node in ast.walk(m.tree)
        if isinstance(node, ast.Attribute) and dotted(node.value) == "DropReason"
    }
    assert {reason.name for reason in DropReason} == given


def test_broad_excepts_stand_only_where_isolation_is_promised() -> None:
    check(
        f"{m.at(node)}: a broad except; allowed in {', '.join(BROAD_EXCEPT_ALLOWED)}"
        for m in modules()
        if m.name not in BROAD_EXCEPT_ALLOWED
        for node in ast.walk(m.tree)
        if isinstance(node, ast.ExceptHandler)
        if _is_broad(node) and not _raises_again(node)
    )


def test_every_place_for_a_broad_except_still_needs_it() -> None:
    names = {m.name: m for m in modules()}
    check(
        f"{name}: no longer has a broad except; take it off the list"
        for name in BROAD_EXCEPT_ALLOWED
        if name in names
        if not any(
            isinstance(node, ast.ExceptHandler) and _is_broad(node)
            for node in ast.walk(names[name].tree)
        )
    )


def _is_broad(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    broad = {"Exception", "BaseException", "ExceptionGroup", "BaseExceptionGroup"}
    return any(dotted(kind) in broad for kind in types)


def _raises_again(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def test_cancellation_is_never_swallowed() -> None:
    check(
        f"{m.at(node)}: trio.Cancelled must pass"
        for m in modules()
        for node in ast.walk(m.tree)
        if isinstance(node, ast.ExceptHandler)
        if node.type is None
        or "Cancelled" in ast.dump(node.type)
        or dotted(node.type) == "BaseException"
        if not _raises_again(node)
    )


def test_cores_ask_no_clock_and_throw_no_dice() -> None:
    check(
        f"{m.at(node)}: {dotted(node.func)}() is not for a core: it comes in as an argument"
        for m in modules()
        if m.is_sans_io
        for node in ast.walk(m.tree)
        if isinstance(node, ast.Call)
        if dotted(node.func).split(".")[-1] in CLOCKS_AND_CHANCE
        if not dotted(node.func).startswith("self.")
    )


def test_what_is_to_be_said_is_logged() -> None:
    check(
        f"{m.at(node)}: print() is for the command line only"
        for m in modules()
        if not PRINT_ALLOWED.fullmatch(m.name)
        for node in ast.walk(m.tree)
        if isinstance(node, ast.Call) and dotted(node.func) == "print"
    )


def test_imports_are_absolute() -> None:
    check(
        f"{m.at(node)}: relative import"
        for m in modules()
        for node in ast.walk(m.tree)
        if isinstance(node, ast.ImportFrom) and node.level
    )


def test_every_module_says_what_it_is() -> None:
    check(f"{m.file}: no doc string" for m in modules() if not ast.get_docstring(m.tree))


@pytest.mark.parametrize(
    ("source", "offences"),
    [
        ("match x:\n case A(): pass\n case B(): pass", 0),
        ("match x:\n case A(): pass\n case B(): pass\n case _ as n: assert_never(n)", 0),
        ("match x:\n case A(): pass\n case B(): pass\n case _: pass", 1),
        ("match x:\n case A() as a: pass\n case B(b=b) | C(): pass\n case _: pass", 1),
        ("match x:\n case E.A | E.B: pass\n case other: pass", 1),
        ("match x:\n case A(): pass\n case _: y = 'unknown'", 0),
        ("match x:\n case A(state=E.ONE): pass\n case _: pass", 0),
        ("match x:\n case A() if y: pass\n case _: pass", 0),
        ("match x:\n case 'a': pass\n case _: pass", 0),
        ("match x:\n case str(): pass\n case _: pass", 0),
    ],
)
def test_the_rule_about_match_sees_what_it_should(source: str, offences: int) -> None:
    module = Module("x", modules()[0].path, source, ast.parse(source))
    assert len(list(_swallowing_matches(module))) == offences
