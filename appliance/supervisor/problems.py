"""Why the appliance cannot start, in words for the operator, all reasons at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

EXIT_OK: Final = 0
EXIT_UNAVAILABLE: Final = 69
"""Something that may pass: an address in use, another supervisor. systemd tries again."""
EXIT_BUG: Final = 70
EXIT_CONFIG: Final = 78
"""Something only the operator can mend. systemd does not try again."""


class CannotStart(Exception):
    """The appliance was not started; nothing is left behind."""

    def __init__(self, problems: Iterable[str], code: int = EXIT_CONFIG) -> None:
        self.problems = tuple(problems)
        self.code = code
        super().__init__("\n".join(self.problems))
