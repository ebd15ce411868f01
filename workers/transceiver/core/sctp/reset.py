"""Streams begin anew: how a data channel is closed (RFC 6525; RFC 8831, 6.7).

Each end resets its own outgoing streams, with one request under way at a time. We ask only when all
that left on a stream has arrived, so that the peer has nothing to wait for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, assert_never

from config.ids import Instant
from workers.transceiver.core.sctp.rto import Retry
from workers.transceiver.core.sctp.serial import TSN_MASK, unwrap_tsn
from workers.wire.sctp_chunks import (
    OtherRequest,
    OutgoingReset,
    ReConfig,
    ResetResponse,
    ResetResult,
)

MAX_STREAMS_PER_REQUEST: Final = 256
_RETRY_LATER: Final = frozenset({ResetResult.IN_PROGRESS, ResetResult.IN_PROGRESS_ALREADY})


class Outcome(NamedTuple):
    """Of one RE-CONFIG chunk."""

    responses: list[ReConfig]
    theirs: list[tuple[int, ...]]
    """Streams of the peer to be reset now; an empty tuple means all."""
    ours: tuple[int, ...]
    """Streams of ours that are reset."""


class Verdict(NamedTuple):
    """On a request of the peer."""

    response: ReConfig
    streams: tuple[int, ...] | None
    """To be reset now (empty: all); None if nothing is."""


class Resets:
    """Requests of ours and of the peer, each in their order."""

    def __init__(self, local: int, remote: int) -> None:
        self.retry: Final = Retry()
        self._next = local
        self._wanted: dict[int, None] = {}
        self._request: OutgoingReset | None = None
        self._expected = remote
        self._result = ResetResult.BAD_SEQUENCE

    def want(self, stream: int) -> None:
        """Reset this stream of ours when all that was sent on it has arrived."""
        if self._request is None or stream not in self._request.streams:
            self._wanted[stream] = None

    def pending(self, stream: int) -> bool:
        """It is to be reset, or being reset."""
        request = self._request
        return stream in self._wanted or (request is not None and stream in request.streams)

    def begin(
        self, arrived: Callable[[int], bool], last_tsn: int, now: Instant, interval: float
    ) -> ReConfig | None:
        """A new request, if none is under way and there is a stream for it."""
        if self._request is not None or not self._wanted:
            return None
        streams = [stream for stream in self._wanted if arrived(stream)][:MAX_STREAMS_PER_REQUEST]
        if not streams:
            return None
        for stream in streams:
            del self._wanted[stream]
        self._request = OutgoingReset(
            self._next & TSN_MASK, self._expected - 1 & TSN_MASK, last_tsn & TSN_MASK, (*streams,)
        )
        self._next += 1
        self.retry.start(now, interval)
        return ReConfig((self._request,))

    def repeat(self, now: Instant) -> ReConfig:
        """The same request once more."""
        if self._request is None:
            raise AssertionError("no request is under way")
        self.retry.again(now)
        return ReConfig((self._request,))

    def handle(self, chunk: ReConfig, cumulative: int) -> Outcome:
        """Take a chunk; `cumulative` is the last TSN without a gap that has come."""
        outcome = Outcome([], [], ())
        for parameter in chunk.parameters:
            match parameter:
                case OutgoingReset():
                    verdict = self.judge(parameter, cumulative)
                case OtherRequest():
                    verdict = self.deny(parameter.request)
                case ResetResponse():
                    outcome = outcome._replace(ours=self.answered(parameter) or outcome.ours)
                    continue
                case _:
                    assert_never(parameter)
            outcome.responses.append(verdict.response)
            if verdict.streams is not None:
                outcome.theirs.append(verdict.streams)
        return outcome

    def answered(self, response: ResetResponse) -> tuple[int, ...] | None:
        """Streams that are reset, or never will be; None if it answers nothing, or not for good."""
        request = self._request
        if request is None or response.request != request.request:
            return None
        if response.result in _RETRY_LATER:
            return None
        self._request = None
        self.retry.stop()
        return request.streams

    def judge(self, request: OutgoingReset, cumulative: int) -> Verdict:
        """Their request; `cumulative` is the last TSN without a gap that has come."""
        number = unwrap_tsn(request.request, self._expected)
        streams: tuple[int, ...] | None = None
        repeated = number == self._expected - 1
        if repeated and self._result is not ResetResult.IN_PROGRESS:
            return Verdict(_response(request.request, self._result), None)
        if not repeated and number != self._expected:
            return Verdict(_response(request.request, ResetResult.BAD_SEQUENCE), None)
        # Peers differ in whether they ask again under the same number: either will do.
        self._expected = number + 1
        if unwrap_tsn(request.last_tsn, cumulative) > cumulative:
            self._result = ResetResult.IN_PROGRESS
        else:
            self._result, streams = ResetResult.PERFORMED, request.streams
        return Verdict(_response(request.request, self._result), streams)

    def deny(self, request: int) -> Verdict:
        """A request of a kind that we do not serve."""
        number = unwrap_tsn(request, self._expected)
        if number == self._expected:
            self._expected, self._result = number + 1, ResetResult.DENIED
        elif number != self._expected - 1:
            return Verdict(_response(request, ResetResult.BAD_SEQUENCE), None)
        return Verdict(_response(request, self._result), None)


def _response(request: int, result: ResetResult) -> ReConfig:
    return ReConfig((ResetResponse(request, result),))
