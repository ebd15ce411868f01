"""What counts as speech in one session: the knobs of `server_vad` in Realtime APIs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec


class _Knob(NamedTuple):
    theirs: str
    """Its name in a `turn_detection`."""
    least: int
    most: int
    kinds: tuple[type, ...] = (int,)


_KNOBS: Final = {
    "threshold": _Knob("threshold", 0, 1, (int, float)),
    "prefix": _Knob("prefix_padding_ms", 0, 5_000),
    "silence": _Knob("silence_duration_ms", 50, 10_000),
}


class Vad(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is None, the transceiver's configuration says (`vad_threshold` and so on)."""

    threshold: float | None = None
    """0 takes much for speech, 1 little."""
    prefix: int | None = None
    """Milliseconds before the detected beginning that count as speech, up to 5000."""
    silence: int | None = None
    """Milliseconds without voice after which speech has ended, 50 to 10000."""

    @property
    def wrong(self) -> str:
        """What is out of bounds; empty if nothing is."""
        return "; ".join(
            f"{name} is to be from {knob.least} to {knob.most}"
            for name, knob in _KNOBS.items()
            if (value := getattr(self, name)) is not None and not _fits(value, knob)
        )

    def over(self, host: Vad) -> Vad:
        """With what that one says where this one says nothing."""
        return Vad(
            host.threshold if self.threshold is None else self.threshold,
            host.prefix if self.prefix is None else self.prefix,
            host.silence if self.silence is None else self.silence,
        )

    @classmethod
    def asked(cls, claims: Mapping[str, Any]) -> Vad | None:
        """What the `turn_detection` of the client's session asks for, if for anything.

        `claims`: of the call. They are a stranger's word: what is no `server_vad`, or is out of bounds, is
        left to the host.
        """
        session = _part(claims, "session")
        found = _part(_part(_part(session, "audio"), "input"), "turn_detection")
        found = found or _part(session, "turn_detection")  # as in the API's first version
        if found.get("type") != "server_vad":
            return None
        asked = {name: found.get(knob.theirs) for name, knob in _KNOBS.items()}
        fit = {name: value for name, value in asked.items() if _fits(value, _KNOBS[name])}
        return cls(**fit) if fit else None


def _fits(value: Any, knob: _Knob) -> bool:
    return type(value) in knob.kinds and knob.least <= value <= knob.most


def _part(of: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = of.get(name)
    return part if isinstance(part, Mapping) else {}
