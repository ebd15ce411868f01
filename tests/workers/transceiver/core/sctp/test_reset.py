"""Streams begin anew."""

from __future__ import annotations

from workers.transceiver.core.sctp.reset import Resets
from workers.wire.sctp_chunks import (
    OtherRequest,
    OutgoingReset,
    ReConfig,
    ResetResponse,
    ResetResult,
)


def result(reconfig: ReConfig) -> int:
    (response,) = reconfig.parameters
    assert isinstance(response, ResetResponse)
    return response.result


def test_one_request_at_a_time_when_all_has_arrived() -> None:
    resets = Resets(100, 200)
    resets.want(4)
    resets.want(6)
    assert resets.begin(lambda _: False, 7, 1.0, 0.5) is None
    request = resets.begin(lambda stream: stream == 4, 7, 1.0, 0.5)
    assert request == ReConfig((OutgoingReset(100, 199, 7, (4,)),))
    assert resets.begin(lambda _: True, 7, 1.0, 0.5) is None
    assert resets.pending(4)
    assert resets.pending(6)
    assert resets.repeat(1.5) == request
    assert resets.handle(ReConfig((ResetResponse(9, 1),)), 0).ours == ()
    later = ReConfig((ResetResponse(100, ResetResult.IN_PROGRESS),))
    assert resets.handle(later, 0).ours == ()
    done = ReConfig((ResetResponse(100, ResetResult.PERFORMED),))
    assert resets.handle(done, 0).ours == (4,)
    assert resets.retry.at is None
    assert resets.begin(lambda _: True, 7, 2.0, 0.5) == ReConfig(
        (OutgoingReset(101, 199, 7, (6,)),)
    )


def test_their_requests_in_order_once() -> None:
    resets = Resets(100, 200)
    request = OutgoingReset(200, 0, 50, (3,))
    early = resets.judge(request, 49)
    assert (result(early.response), early.streams) == (ResetResult.IN_PROGRESS, None)
    then = resets.judge(request, 50)
    assert (result(then.response), then.streams) == (ResetResult.PERFORMED, (3,))
    again = resets.judge(request, 50)
    assert (result(again.response), again.streams) == (ResetResult.PERFORMED, None)
    assert (
        result(resets.judge(request._replace(request=205), 50).response) == ResetResult.BAD_SEQUENCE
    )
    assert result(resets.deny(201).response) == ResetResult.DENIED
    assert resets.handle(ReConfig((OtherRequest(17, 202),)), 50).theirs == []
