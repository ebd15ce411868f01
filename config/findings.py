"""What is wrong with a configuration, before it is known where in a file that stands."""

from __future__ import annotations

from typing import NamedTuple

from config.problems import KeyPath


class Finding(NamedTuple):
    """A problem that does not know its file yet."""

    path: KeyPath
    what: str
    also: tuple[KeyPath, ...] = ()
    """Other keys whose values it was concluded from."""

    def rests_on(self, path: KeyPath) -> bool:
        """True if the value at `path`, or one inside it, was used to reach this finding."""
        return any(
            all(ours == theirs for ours, theirs in zip(used, path, strict=False))
            for used in (self.path, *self.also)
        )
