"""JSON objects of strangers, which are to travel on: to a transceiver in msgpack, and to a back end.

What JSON can say and msgpack cannot, or what others could not take apart again, ends here.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from workers.http.problems import ProblemKind, Refused

MAX_DEPTH: Final = 32
"""Objects and lists inside each other; every codec on the way recurses."""
_INTEGERS: Final = range(-(2**63), 2**64)


def parse_object(text: bytes | str, what: str) -> dict[str, Any]:
    """A JSON object that any codec on its way can carry; `what` names it. Raises Refused."""
    try:
        found = msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(ProblemKind.MALFORMED_REQUEST, f"{what}: {error}") from None
    if wrong := _wrong(found):
        raise Refused(ProblemKind.MALFORMED_REQUEST, f"{what}: {wrong}")
    return found


def merge_objects(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Both, object by object; where they differ, `above` holds."""
    merged = dict(below)
    for name, value in above.items():
        match merged.get(name), value:
            case dict() as under, dict():
                merged[name] = merge_objects(under, value)
            case _:
                merged[name] = value
    return merged


def _wrong(found: dict[str, Any]) -> str:
    """Empty if nothing is. Level by level, so that this does not recurse itself."""
    level: list[Any] = [found]
    for _ in range(MAX_DEPTH):
        inner: list[Any] = []
        for container in level:
            for value in container.values() if isinstance(container, dict) else container:
                if isinstance(value, int) and value not in _INTEGERS:
                    return "a number has more than 64 bits"
                if isinstance(value, dict | list):
                    inner.append(value)
        if not inner:
            return ""
        level = inner
    return f"more than {MAX_DEPTH} objects and lists inside each other"
