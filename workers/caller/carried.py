"""A session whose media goes by a circuit: what `Standalone` is to one that carries it itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from config.ids import Instant
from workers.caller.trunk import Circuit
from workers.transceiver.core.interface import (
    MeasureMedia,
    MediaMeasured,
    OpenMedia,
    Path,
    SendAudio,
    SendReport,
    SessionOutput,
    StandaloneEvent,
    StandaloneOutput,
)
from workers.transceiver.core.reports import Reported
from workers.transceiver.core.session import Session
from workers.transceiver.core.streams.interface import StreamStats


class Carried:
    """The same door as `Session`; what comes by the circuit comes in as its events."""

    def __init__(self, session: Session, circuit: Circuit) -> None:
        self._session: Final = session
        self._circuit: Final = circuit
        self._way: Path | None = None

    @property
    def stats(self) -> StreamStats:
        """Of its audio."""
        return self._circuit.stats

    @property
    def round_trip(self) -> float | None:
        """As `Session.round_trip`."""
        return self._session.round_trip

    @property
    def reported(self) -> Reported | None:
        """As `Session.reported`."""
        return self._session.reported

    def next_timeout(self) -> Instant | None:
        """When `handle_timeout` has something to do; None once closed."""
        return self._session.next_timeout()

    def handle_timeout(self, now: Instant) -> list[StandaloneOutput]:
        """As `Session.handle_timeout`."""
        return self._after(self._session.handle_timeout(now), now)

    def handle(self, event: StandaloneEvent, now: Instant) -> list[StandaloneOutput]:
        """Take one event."""
        if isinstance(event, SendAudio):
            self._circuit.send(event)
            return []
        return self._after(self._session.handle(event, now), now)

    def _after(self, produced: Iterable[SessionOutput], now: Instant) -> list[StandaloneOutput]:
        outputs: list[StandaloneOutput] = []
        self._do(produced, outputs, now)
        way = self._session.media_path
        if way != self._way:
            self._way = way
            self._circuit.set_way(way)
        return outputs

    def _do(
        self, produced: Iterable[SessionOutput], outputs: list[StandaloneOutput], now: Instant
    ) -> None:
        """Keep what is the circuit's business, pass on the rest."""
        for output in produced:
            match output:
                case OpenMedia():
                    self._circuit.open(output)
                case SendReport(packet):
                    self._circuit.send_report(packet)
                case MeasureMedia():
                    measured = MediaMeasured(self.stats)
                    self._do(self._session.handle(measured, now), outputs, now)
                case _:
                    outputs.append(output)
