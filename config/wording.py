"""The validator's complaints, said in the words of a configuration file."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches
from typing import Final

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from config.findings import Finding
from config.model import Config
from config.problems import KeyPath, show_path, show_value

_EXPECTED: Final = {
    "int_type": "a whole number",
    "float_type": "a number",
    "string_type": "text in quotes",
    "tuple_type": "an array, [...]",
    "dict_type": "a table",
    "model_type": "a table",
}


def explain(error: ErrorDetails) -> Finding:
    """One complaint of pydantic as a finding."""
    path: KeyPath = tuple(part for part in error["loc"] if part != "[key]")
    found = error["input"]
    context = error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            what = _unknown_key(path)
        case "value_error":
            what = str(context["error"])
        case "enum":
            what = f"must be {_plain(context['expected'])}, got {show_value(found)}"
        case "greater_than_equal":
            what = f"must be at least {_number(context['ge'])}, got {show_value(found)}"
        case "less_than_equal":
            what = f"must be at most {_number(context['le'])}, got {show_value(found)}"
        case kind if kind in _EXPECTED:
            what = f"must be {_EXPECTED[kind]}, got {show_value(found)}"
        case _:
            what = f"{error['msg']}, got {show_value(found)}"
    return Finding(path, what)


def known_keys(path: KeyPath = ()) -> Collection[str]:
    """Names that may stand in the table at `path`: sections at the top, keys inside a section."""
    model: type[BaseModel] = Config
    for part in path:
        field = model.model_fields.get(str(part))
        inner = field.annotation if field else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return ()
        model = inner
    return model.model_fields.keys()


def _unknown_key(path: KeyPath) -> str:
    *table, name = path
    siblings = known_keys(tuple(table))
    if close := get_close_matches(str(name)[:64], siblings, n=1):
        return f"unknown key; did you mean {show_path((*table, close[0]))}?"
    for section in known_keys():
        if table and name in known_keys((section,)):
            return f"unknown key; did you mean {section}.{name}?"
    return f"unknown key; known here: {', '.join(siblings)}"


def _plain(expected: str) -> str:
    """`'debug', 'info' or 'error'` without the quotes of Python."""
    return expected.replace("'", "")


def _number(bound: float) -> str:
    return str(int(bound)) if float(bound).is_integer() else str(bound)
