"""Nothing that a transceiver can say is without a status."""

from __future__ import annotations

import json

import pytest

from ipc.messages.sessions import Problem, SessionRefused
from workers.http.problems import ProblemKind, Refused
from workers.signaling.refusals import refused_by_transceiver, refused_for_host


@pytest.mark.parametrize(
    ("problem", "status"),
    [
        (Problem.MALFORMED_SDP, 400),
        (Problem.NOTHING_IN_COMMON, 422),
        (Problem.UNKNOWN_BACKEND, 404),
        (Problem.FULL, 503),
        (Problem.DRAINING, 503),
        (Problem.INTERNAL_ERROR, 500),
    ],
)
def test_a_transceivers_refusal_in_the_words_of_http(problem: Problem, status: int) -> None:
    refused = refused_by_transceiver(SessionRefused(problem, "line 7: no"))
    body = json.loads(refused.encode())
    assert body["status"] == refused.kind.status == status
    assert body["detail"] == "line 7: no"
    assert body["title"]
    assert ("retry-after" in refused.response_headers) is (status == 503)


def test_every_problem_of_a_transceiver_has_a_status() -> None:
    for problem in Problem:
        assert refused_by_transceiver(SessionRefused(problem, "")).kind.status >= 400


def test_a_host_that_is_asked_says_why_not() -> None:
    """Back here it is the same problem again; that it is not ready yet is all the same to others."""
    for problem in Problem:
        refusal = SessionRefused(problem, "because")
        assert refused_for_host(refused_by_transceiver(refusal)) == refusal
    assert refused_for_host(Refused(ProblemKind.NOT_READY, "x")).problem is Problem.DRAINING
    assert refused_for_host(Refused(ProblemKind.NO_ANSWER, "x")).problem is Problem.INTERNAL_ERROR
