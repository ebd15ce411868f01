"""Problem bodies: stable types, one per kind, nothing a transceiver can say without a status."""

from __future__ import annotations

import json

import pytest

from ipc.messages.sessions import Problem, SessionRefused
from workers.signaling.problems import ProblemKind, Refused


def test_types_are_unique_and_stable() -> None:
    types = [kind.type for kind in ProblemKind]
    assert len(set(types)) == len(types)
    assert ProblemKind.MALFORMED_SDP.type == "urn:tandem:problem:malformed-sdp"
    assert ProblemKind.NOTHING_IN_COMMON.type == "urn:tandem:problem:nothing-in-common"


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
    refused = Refused.by_transceiver(SessionRefused(problem, "line 7: no"))
    body = json.loads(refused.encode())
    assert body["status"] == refused.kind.status == status
    assert body["detail"] == "line 7: no"
    assert body["title"]
    assert ("retry-after" in refused.response_headers) is (status == 503)


def test_every_problem_of_a_transceiver_has_a_status() -> None:
    for problem in Problem:
        assert Refused.by_transceiver(SessionRefused(problem, "")).kind.status >= 400
