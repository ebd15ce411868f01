"""Problem bodies: stable types, one per kind."""

from __future__ import annotations

from workers.http.problems import ProblemKind


def test_types_are_unique_and_stable() -> None:
    types = [kind.type for kind in ProblemKind]
    assert len(set(types)) == len(types)
    assert ProblemKind.MALFORMED_SDP.type == "urn:tandem:problem:malformed-sdp"
    assert ProblemKind.NOTHING_IN_COMMON.type == "urn:tandem:problem:nothing-in-common"
