from __future__ import annotations

import pytest

from tests.campaign.judge import Attempt, Evidence, Group, Process, judge

GOOD = Attempt("rtc_0_a", "", connected=True, until=9.0, messages_sent=9, messages_received=9)
FINE = Evidence(groups=(Group("calls", (GOOD,), True),), log="all is well")


def with_call(keeps: bool = True, **changes: object) -> Evidence:
    attempt = Attempt(**{name: getattr(GOOD, name) for name in GOOD.__struct_fields__} | changes)
    return FINE._replace(groups=(Group("calls", (attempt,), keeps),))


def test_nothing_is_wrong() -> None:
    assert judge(FINE) == []


@pytest.mark.parametrize(
    ("evidence", "broken"),
    [
        (with_call(error="consent"), ["calls: rtc_0_a was lost: consent (at 9.0 s)"]),
        (with_call(error="consent")._replace(doomed={"rtc_0_a"}), []),
        (with_call(error="HTTP 503", connected=False, session=""), []),
        (with_call(foreign=2), ["calls: rtc_0_a heard 2 frames of somebody else"]),
        (with_call(messages_received=8), ["calls: rtc_0_a lost 1 of 9 messages"]),
        (with_call(messages_received=8, keeps=False), []),
        (FINE._replace(unconserved=["relay-0"]), ["relay-0: received is not forwarded, handed up"]),
        (FINE._replace(not_ready=["relay-0"]), ["relay-0 is not ready again"]),
        (FINE._replace(complaints=["it was slow"]), ["it was slow"]),
        (FINE._replace(sessions_left=3), ["3 sessions are left of calls that have hung up"]),
        (FINE._replace(exit_code=70), ["the supervisor ended with 70"]),
        (FINE._replace(outlived=["relay-0"]), ["relay-0 has outlived the appliance"]),
        (with_call(astray={"foreign": 2}), ["calls: rtc_0_a got 2 messages that were foreign"]),
        (FINE._replace(probes_failed=1), ["1 calls failed when it was over"]),
        (FINE._replace(log="Traceback"), ["1 tracebacks in the log"]),
        (
            FINE._replace(before={1: Process(9, 1 << 20)}, after={1: Process(90, 1 << 20)}),
            ["process (1) has 81 descriptors more"],
        ),
        (
            FINE._replace(
                before={1: Process(9, 1 << 20)},
                after={1: Process(9, 99 << 20)},
                names={1: "relay-0"},
            ),
            ["relay-0 (1) has grown by 98 MB"],
        ),
        (
            FINE._replace(before={1: Process(9, 1)}, after={1: Process(9, 60 << 20)}, calls=200),
            [],
        ),
        (FINE._replace(before={1: Process(9, 1)}, after={2: Process(900, 1 << 30)}), []),
    ],
)
def test_what_is_wrong_is_said(evidence: Evidence, broken: list[str]) -> None:
    found = judge(evidence)
    assert len(found) == len(broken)
    for said, expected in zip(found, broken, strict=True):
        assert said.startswith(expected)
