"""What a transceiver refuses, in the words of HTTP."""

from __future__ import annotations

from typing import Final

from ipc.messages.sessions import Problem, SessionRefused
from workers.http.problems import ProblemKind, Refused

_OF_REFUSAL: Final = {
    Problem.MALFORMED_SDP: ProblemKind.MALFORMED_SDP,
    Problem.MALFORMED_FRAGMENT: ProblemKind.MALFORMED_FRAGMENT,
    Problem.UNUSABLE_FRAGMENT: ProblemKind.UNUSABLE_FRAGMENT,
    Problem.STALE_ICE: ProblemKind.STALE_ICE,
    Problem.UNKNOWN_SESSION: ProblemKind.UNKNOWN_SESSION,
    Problem.NOTHING_IN_COMMON: ProblemKind.NOTHING_IN_COMMON,
    Problem.UNKNOWN_BACKEND: ProblemKind.UNKNOWN_BACKEND,
    Problem.UNFIT_BACKEND: ProblemKind.UNFIT_BACKEND,
    Problem.BACKEND_AWAY: ProblemKind.BACKEND_AWAY,
    Problem.FULL: ProblemKind.FULL,
    Problem.DRAINING: ProblemKind.DRAINING,
    Problem.SIDEBANDS: ProblemKind.SIDEBANDS,
    Problem.INTERNAL_ERROR: ProblemKind.INTERNAL_ERROR,
}


_FOR_HOST: Final = {kind: problem for problem, kind in _OF_REFUSAL.items()} | {
    ProblemKind.NOT_READY: Problem.DRAINING,
}


def refused_by_transceiver(refusal: SessionRefused) -> Refused:
    """What it said, as a problem."""
    return Refused(_OF_REFUSAL[refusal.problem], refusal.detail)


def refused_for_host(refused: Refused) -> SessionRefused:
    """What another host is told, which asks on behalf of a client."""
    return SessionRefused(_FOR_HOST.get(refused.kind, Problem.INTERNAL_ERROR), refused.detail)
