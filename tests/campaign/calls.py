"""`python -m tests.campaign.calls URL COUNT FIRST speak|write PATIENCE PORT:INSTEAD`: calls that are placed
again when they end.

Each sends messages, and talks if it is to speak, until SIGINT; then it waits PATIENCE seconds for messages
that have not come back, and prints a JSON array of every attempt there was. FIRST numbers the calls, so
that what belongs to another one is told, also to one of another process. With a second port the answers are
read as if they named that one: the way through a proxy.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from itertools import count
from typing import Final

import msgspec
import trio

from tests.campaign.judge import Attempt
from workers.caller.exchange import Exchange, Placed
from workers.caller.lines import Line
from workers.caller.phone import Phone, Plan
from workers.caller.report import CallReport

FOR_EVER: Final = 3600.0
AGAIN: Final = 0.5
"""Seconds until a call that has ended is placed again."""


class Diverted(Exchange):
    """Answers that name another port."""

    def __init__(self, url: str, port: str, instead: str) -> None:
        super().__init__(url)
        self._port = f" {port} typ host"
        self._instead = f" {instead} typ host"

    async def place(self, offer: str) -> Placed:
        placed = await super().place(offer)
        return placed._replace(answer=placed.answer.replace(self._port, self._instead))


class Redialler(Phone):
    """Whose calls are placed again and again, and remembered."""

    def __init__(self, plan: Plan, ports: str) -> None:
        super().__init__(plan)
        self.attempts: list[Attempt] = []
        self._numbers = count(plan.first_number)
        if ports:
            self._exchange = Diverted(plan.url, *ports.split(":"))

    async def _one(self, number: int) -> None:
        while not self._stopping.is_set():
            before = len(self.attempts)
            await super()._one(next(self._numbers))
            if len(self.attempts) == before:
                error = self.report.errors.most_common(1)
                refused = error[0][0] if error else "refused"
                self.attempts.append(Attempt("", refused, False, time.monotonic()))
            with trio.move_on_after(AGAIN):
                await self._stopping.wait()

    async def _talk(self, line: Line, placed: Placed, http: float) -> CallReport:
        assert line.call is not None
        connected = line.call.connected
        report = await super()._talk(line, placed, http)
        self.attempts.append(
            Attempt(
                placed.resource.rpartition("/")[2],
                report.error,
                connected,
                time.monotonic(),
                report.messages_sent,
                report.messages_received,
                report.foreign,
                report.messages_astray,
            )
        )
        return report


async def main(url: str, calls: int, first: int, speak: bool, patience: float, ports: str) -> None:
    """Call until told to stop."""
    plan = Plan(
        url,
        calls,
        FOR_EVER,
        audio=speak,
        data=True,
        connect_timeout=15.0,
        first_number=first,
        patience=patience,
    )
    phone = Redialler(plan, ports)

    async def hear_signal() -> None:
        with trio.open_signal_receiver(signal.SIGINT) as signals:
            async for _ in signals:
                phone.stop()

    async def tell() -> None:
        while phone.connected < calls:
            await trio.sleep(0.05)
        print("connected", flush=True)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(hear_signal)
        nursery.start_soon(tell)
        await phone.run()
        nursery.cancel_scope.cancel()
    print(json.dumps([msgspec.to_builtins(attempt) for attempt in phone.attempts]))


if __name__ == "__main__":
    _, where, many, number, how, waits, *proxy = sys.argv
    trio.run(main, where, int(many), int(number), how == "speak", float(waits), "".join(proxy))
