"""Config -> TOML text that loads to the same Config: what `tandem config show` prints."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from config.model import Config

_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")


def dump(config: Config) -> str:
    """Every key with its value in force, one table per section, ends with a newline."""
    sections = config.model_dump(mode="json")
    return "\n".join(_section(name, keys) for name, keys in sections.items())


def _section(name: str, keys: dict[str, Any]) -> str:
    lines = (f"{key} = {_value(value)}\n" for key, value in keys.items())
    return f"[{name}]\n{''.join(lines)}"


def _value(value: object) -> str:
    match value:
        case str():
            return _string(value)
        case list():
            return f"[{', '.join(map(_value, value))}]"
        case dict() if value:
            pairs = (f"{_key(key)} = {_value(inner)}" for key, inner in value.items())
            return f"{{ {', '.join(pairs)} }}"
        case dict():
            return "{}"
        case _:
            return json.dumps(value)


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else _string(name)


def _string(text: str) -> str:
    # JSON's escapes are TOML's, but TOML wants DEL escaped and no surrogate pairs.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
