"""A media plane without sockets: the Python one, over a link that is two lists."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from config.ids import Endpoint, Instant
from workers.transceiver.core.interface import (
    RecordReceived,
    SendRecord,
    SessionsEvent,
    SessionsOutput,
)
from workers.transceiver.core.streams.interface import (
    BindLabel,
    CloseStream,
    ForwardStream,
    OpenStream,
    ReceiveMedia,
    SendFrame,
    SendStreamReport,
    SetWay,
    UnbindLabel,
)
from workers.transceiver.media import commands
from workers.transceiver.media.base import PlaneCounters
from workers.transceiver.media.python import PythonPlane


class MemoryLink:
    """Records that arrive are put into `inbox`; those that leave are given to `sent`."""

    def __init__(self, sent: Callable[[SendRecord], None]) -> None:
        self.counters = PlaneCounters()
        self.inbox: deque[RecordReceived] = deque()
        self._sent = sent
        self._queue: list[SendRecord] = []

    def fileno(self) -> int:
        raise AssertionError("there is nothing to wait for")

    def hear(self, peers: Iterable[Endpoint]) -> None:
        pass

    def receive(self) -> Iterator[RecordReceived]:
        while self.inbox:
            yield self.inbox.popleft()

    def queue(self, record: SendRecord) -> None:
        self._queue.append(record)

    def flush(self) -> None:
        records, self._queue = self._queue, []
        self.counters.records_out += len(records)
        for record in records:
            self._sent(record)


class Harness:
    """A plane with the cores of a transceiver above it, as the shell joins them."""

    def __init__(self, sent: Callable[[SendRecord], None], clock: Callable[[], Instant]) -> None:
        self.link = MemoryLink(sent)
        self.plane = PythonPlane(self.link, clock)
        self.handle: Callable[[SessionsEvent, Instant], list[SessionsOutput]]
        """The door of the cores; set before anything else is done."""
        self._clock = clock

    def do(self, event: SessionsEvent) -> list[SessionsOutput]:
        """Let an event be taken, a record's by the plane, and all that follows from it happen."""
        if isinstance(event, RecordReceived):
            self.link.inbox.append(event)
            return self.carry_out([])
        return self.carry_out(self.handle(event, self._clock()))

    def carry_out(self, outputs: list[SessionsOutput]) -> list[SessionsOutput]:
        """What the cores want, and what they want of what comes of that. All of it, in order."""
        done: list[SessionsOutput] = []
        while True:
            for output in outputs:
                self._one(output)
            done += outputs
            events = self.plane.take()
            if not events:
                break
            outputs = [o for event in events for o in self._later(event)]
        self.plane.flush()
        return done

    def _later(self, event: SessionsEvent) -> list[SessionsOutput]:
        return self.handle(event, self._clock())

    def _one(self, output: SessionsOutput) -> None:
        match output:
            case SendRecord():
                self.plane.send_record(output)
            case OpenStream() | CloseStream() | BindLabel() | UnbindLabel() | SetWay():
                commands.carry_out(self.plane, output)
            case ForwardStream() | SendFrame() | SendStreamReport() | ReceiveMedia():
                commands.carry_out(self.plane, output)
            case _:
                pass
