"""The refusal of who has not shown what lets them in (RFC 6750, 3)."""

from __future__ import annotations

from typing import Final

from workers.http.problems import ProblemKind, Refused

_CHALLENGE: Final = 'Bearer realm="tandem"'


def unauthorized(detail: str, error: str = "invalid_token") -> Refused:
    """With what to send instead; without `error` if nothing was sent at all."""
    challenge = f'{_CHALLENGE}, error="{error}"' if error else _CHALLENGE
    return Refused(ProblemKind.UNAUTHORIZED, detail, {"www-authenticate": challenge})
