"""What waits for readers of sidebands: in order, once, bounded, and not for ever."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from ipc.codec import encode
from ipc.messages.sessions import CloseReason
from ipc.messages.sidebands import ReadSidebands, SidebandEvent
from workers.transceiver.audience import BATCH, LAPSE, MAX_BYTES, MAX_WAITING, Audience
from workers.transceiver.backends.sidebands import Member
from workers.transceiver.core.sctp.interface import MAX_MESSAGE

ONE, TWO = Member("a", 1), Member("a", 2)


def said(number: int, text: str) -> SidebandEvent:
    return SidebandEvent(number, text)


async def test_in_order_and_again_until_it_is_acknowledged(
    autojump_clock: trio.testing.MockClock,
) -> None:
    audience = Audience()
    audience.admit("a")
    audience.put(ONE, said(1, "x"))
    audience.put(TWO, said(2, "y"))
    first = await audience.read(ReadSidebands("a"))
    assert first.events == (said(1, "x"), said(2, "y"))
    assert (await audience.read(ReadSidebands("a"))).events == first.events  # the reply was lost
    audience.put(ONE, said(1, "z"))
    assert (await audience.read(ReadSidebands("a", first.serial))).events == (said(1, "z"),)


async def test_a_reader_waits_and_hears_a_burst_at_once(
    autojump_clock: trio.testing.MockClock,
) -> None:
    audience = Audience()
    audience.admit("a")
    began = trio.current_time()
    assert (await audience.read(ReadSidebands("a", within=2))).events == ()
    assert trio.current_time() - began >= 2
    async with trio.open_nursery() as nursery:

        async def read() -> None:
            reply = await audience.read(ReadSidebands("a", within=2))
            assert reply.events == (said(1, "x"), said(1, "y"))

        nursery.start_soon(read)
        await trio.sleep(1)
        audience.put(ONE, said(1, "x"))
        audience.put(ONE, said(1, "y"))


async def test_too_much_cuts_that_sideband_only(autojump_clock: trio.testing.MockClock) -> None:
    audience = Audience()
    audience.admit("a")
    for _ in range(MAX_WAITING):
        assert audience.put(ONE, said(1, ""))
    assert audience.put(TWO, said(2, "x" * MAX_BYTES))
    assert not audience.put(ONE, said(1, "more"))
    assert not audience.put(TWO, said(2, "more"))
    assert audience.put(Member("a", 3), SidebandEvent(3, closed=CloseReason.IDLE))
    events: list[SidebandEvent] = []
    serial = 0
    while len(events) < MAX_WAITING + 4:
        reply = await audience.read(ReadSidebands("a", serial, within=0))
        events += reply.events
        serial = reply.serial
    assert events[MAX_WAITING + 1 :] == [
        SidebandEvent(1, cut=True),
        SidebandEvent(2, cut=True),
        SidebandEvent(3, closed=CloseReason.IDLE),
    ]
    assert audience.put(ONE, said(1, "room again"))


async def test_a_reply_fits_into_a_message(autojump_clock: trio.testing.MockClock) -> None:
    audience = Audience()
    audience.admit("a")
    for number in range(1, 5):
        audience.put(Member("a", number), said(number, "x" * (BATCH - 1)))
        audience.put(Member("a", number), said(number, "x" * MAX_MESSAGE))
    serial, count = 0, 0
    while count < 8:
        reply = await audience.read(ReadSidebands("a", serial, within=0))
        encode(reply)
        serial, count = reply.serial, count + len(reply.events)


@pytest.mark.parametrize(
    "text", ["\U0001f5e3" * 16_384, ""], ids=["four bytes a letter", "nothing"]
)
async def test_a_reply_fits_whatever_the_events_say(
    autojump_clock: trio.testing.MockClock, text: str
) -> None:
    audience = Audience()
    audience.admit("a")
    kept = 0
    for number in range(70_000, 70_512):
        for _ in range(MAX_WAITING if not text else 16):
            kept += audience.put(Member("a", number), said(number, text))
        if kept * len(text.encode()) > 4 << 20:
            break
    serial, count = 0, 0
    while count < kept:
        reply = await audience.read(ReadSidebands("a", serial, within=0))
        encode(reply)
        serial, count = reply.serial, count + len(reply.events)


async def test_who_does_not_ask_any_more_is_forgotten(
    autojump_clock: trio.testing.MockClock,
) -> None:
    audience = Audience()
    audience.admit("a")
    audience.admit("b")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(audience.read, ReadSidebands("b", within=4))
        await trio.sleep(LAPSE + 0.5)
        assert audience.lapsed() == ["a"]
        assert not audience.put(ONE, said(1, "nobody"))
        assert (await audience.read(ReadSidebands("a"))).lapsed
        assert (await audience.read(ReadSidebands("b", within=0))).lapsed is False
    audience.admit("a")  # it comes back, and knows the number of long ago
    audience.put(ONE, said(1, "new"))
    assert (await audience.read(ReadSidebands("a"))).events == (said(1, "new"),)
