"""`python -m bench.fault_calls URL COUNT SECONDS [voice]`: calls as `tandem call` makes them, with gaps.

`voice`: they speak one (bench/talkers.py) to a back end that decodes it, and whatever comes back is theirs.
Prints a line when all are connected, and at the end one JSON object: sessions_failed, packets_lost,
packets_lost_up, errors, and for each call its session and the times (of the monotonic clock, which all
processes share) at which its echoes came, with their numbers. SIGINT ends the calls early.
"""

from __future__ import annotations

import json
import signal
import sys
import time

import trio

from bench.talkers import OpusVoice
from config.ids import Instant
from config.model import MediaChoice
from workers.caller.call import OneDoor
from workers.caller.echoes import Echoes
from workers.caller.exchange import Placed
from workers.caller.lines import Line
from workers.caller.phone import Phone, Plan
from workers.caller.report import CallReport
from workers.caller.source import FRAME_SECONDS, Source
from workers.caller.voice import Speaker, Voice
from workers.transceiver.core.interface import Codec
from workers.transceiver.core.session import Session


class _Timed(Echoes):
    def __init__(self, *, decoded: bool) -> None:
        """`decoded`: nothing that comes back has the number of what was said, but time goes on."""
        super().__init__()
        self._decoded = decoded
        self.times: list[float] = []
        self.numbers: list[int] = []
        self.session = ""

    def came(self, index: int | None, media_time: float, now: Instant) -> None:
        number = round(media_time / FRAME_SECONDS) if self._decoded else index
        if number is not None:
            self.times.append(round(time.monotonic(), 4))
            self.numbers.append(number)
        super().came(index, media_time, now)


class _TimedPhone(Phone):
    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.echoes: list[_Timed] = []

    def _voice(
        self, line: Line, session: Session, source: Source | None, codec: Codec | None
    ) -> tuple[OneDoor, Voice]:
        door, voice = super()._voice(line, session, source, codec)
        assert isinstance(voice, Speaker)
        voice.echoes = timed = _Timed(decoded=self._plan.voice is not None)
        self.echoes.append(timed)
        return door, voice

    async def _talk(self, line: Line, placed: Placed, http: float) -> CallReport:
        if line.call is not None and isinstance(timed := line.call.voice.figures, _Timed):
            timed.session = placed.resource.rpartition("/")[2]
        return await super()._talk(line, placed, http)


async def _hear_signal(phone: Phone) -> None:
    with trio.open_signal_receiver(signal.SIGINT) as signals:
        async for _ in signals:
            phone.stop()


async def _to_the_end(phone: Phone, nursery: trio.Nursery) -> None:
    await phone.run()
    nursery.cancel_scope.cancel()


async def _run(phone: _TimedPhone, count: int) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_hear_signal, phone)
        nursery.start_soon(_to_the_end, phone, nursery)
        while phone.connected < count and not phone.report.errors:
            await trio.sleep(0.02)
        print("connected", flush=True)


def main(
    url: str, count: int, seconds: float, rate: float = 50.0, voice: Source | None = None
) -> None:
    """Call, so many a second, and print what it was like."""
    python = MediaChoice.PYTHON  # where every arrival is seen
    plan = Plan(url, count, seconds, rate, connect_timeout=20.0, voice=voice, media=python)
    phone = _TimedPhone(plan)
    trio.run(_run, phone, count)
    report = phone.report
    found = {
        "sessions_failed": report.sessions_failed,
        "packets_lost": report.lost,
        "packets_sent": report.sent,
        "packets_lost_up": report.lost_up,
        "errors": dict(report.errors),
        "sessions": [timed.session for timed in phone.echoes],
        "arrivals": [timed.times for timed in phone.echoes],
        "numbers": [timed.numbers for timed in phone.echoes],
    }
    print(json.dumps(found))


if __name__ == "__main__":
    speaks = OpusVoice() if "voice" in sys.argv[4:] else None
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), voice=speaks)
