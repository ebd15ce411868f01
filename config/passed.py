"""A configuration as processes of an appliance pass it on, of which one may be of a newer version.

Keys are only ever added, as fields of messages are, so who is older leaves out those that he does not know:
nothing here could follow from them. An operator's file is another matter (`config.load`): there a key that
nobody knows is a mistake.
"""

from __future__ import annotations

import tomllib
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json, to_json

from config.model import Config


def parse_passed(text: str) -> Config:
    """What a process is given, or gives back: JSON. Raises ValueError."""
    try:
        return Config.model_validate_json(text)
    except ValidationError as error:
        values = _known(from_json(text), error)
    return Config.model_validate_json(to_json(values))


def parse_kept(text: str) -> Config:
    """What an earlier process has left in a file: TOML. Raises ValueError."""
    values = tomllib.loads(text)
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        return Config.model_validate(_known(values, error))


def _known(values: Any, error: ValidationError) -> Any:
    """Less the keys that are complained of as unknown. Raises `error` if there are other complaints."""
    complaints = error.errors(include_url=False)
    if not all(each["type"] == "extra_forbidden" for each in complaints):
        raise error
    for *path, key in (each["loc"] for each in complaints):
        table = values
        for part in path:
            table = table[part]
        del table[key]
    return values
