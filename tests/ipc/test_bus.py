"""The bus never waits, and counts what it drops."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from config.ids import WorkerName
from ipc.bus import Publisher, Subscriber
from ipc.codec import MAX_MESSAGE
from ipc.lost import Lost
from ipc.messages.stats import SessionEvent, SessionEvents
from ipc.zmq_trio import Pattern, ZmqSocket
from tests.support.short_path import short_directory

directory = short_directory


@pytest.fixture
def endpoint(directory: Path) -> str:
    return f"ipc://{directory}/bus.sock"


def event(number: int, worker: str = "transceiver-0") -> SessionEvents:
    return SessionEvents(WorkerName(worker), (SessionEvent(str(number), "connected"),))


async def publish_when_connected(publisher: Publisher, message: SessionEvents) -> int:
    """Publish it once; how many attempts were dropped before there was a subscriber."""
    attempts = 0
    while not publisher.publish(message):
        attempts += 1
        await trio.sleep(0.001)
    return attempts


async def test_everything_of_all_publishers_arrives_in_order(endpoint: str) -> None:
    with Subscriber(endpoint) as subscriber, trio.fail_after(5):
        names = [f"transceiver-{index}" for index in range(3)]
        publishers = [Publisher(endpoint) for _ in names]
        for publisher, name in zip(publishers, names, strict=True):
            await publish_when_connected(publisher, event(0, name))
            assert all(publisher.publish(event(number, name)) for number in range(1, 100))
        seen: dict[str, list[str]] = {name: [] for name in names}
        while sum(map(len, seen.values())) < 300:
            message = await anext(subscriber)
            assert isinstance(message, SessionEvents)
            seen[message.worker] += [event.session for event in message.events]
        assert all(sessions == [str(n) for n in range(100)] for sessions in seen.values())
        for publisher in publishers:
            publisher.close()


async def test_without_a_subscriber_everything_is_dropped_and_counted(endpoint: str) -> None:
    publisher = Publisher(endpoint)
    assert not any(publisher.publish(event(number)) for number in range(10))
    assert publisher.lost == {Lost.NEWS_UNDELIVERED: 10}
    publisher.close()


async def test_a_subscriber_that_does_not_read_costs_a_bounded_queue(endpoint: str) -> None:
    with Subscriber(endpoint, queue=10) as subscriber, trio.fail_after(10):
        publisher = Publisher(endpoint, queue=10)
        early, published = await publish_when_connected(publisher, event(0)), 1
        while publisher.publish(event(published)):
            published += 1
        assert publisher.lost == {Lost.NEWS_UNDELIVERED: early + 1}
        for number in range(published):
            assert await anext(subscriber) == event(number)
        publisher.close()


async def test_garbage_is_counted_and_too_big_a_message_never_sent(endpoint: str) -> None:
    with Subscriber(endpoint) as subscriber, ZmqSocket(Pattern.PUSH) as raw, trio.fail_after(5):
        raw.connect(endpoint)
        for frames in ([b"garbage"], [b"two", b"frames"], [b""]):
            await raw.send(frames)
        publisher = Publisher(endpoint)
        early = await publish_when_connected(publisher, event(1))
        huge = SessionEvents(WorkerName("x"), (SessionEvent("s", "x" * MAX_MESSAGE),))
        assert not publisher.publish(huge)
        assert publisher.lost[Lost.NEWS_UNDELIVERED] == early + 1
        assert await anext(subscriber) == event(1)
        while subscriber.lost[Lost.NEWS_MALFORMED] < 3:
            with trio.move_on_after(0.01):
                await anext(subscriber)
        publisher.close()


async def test_a_cancelled_subscriber_loses_nothing(endpoint: str) -> None:
    with Subscriber(endpoint) as subscriber, trio.fail_after(10):
        publisher = Publisher(endpoint)
        await publish_when_connected(publisher, event(0))
        assert await anext(subscriber) == event(0)
        seen = []
        for number in range(300):
            publisher.publish(event(number))
            with trio.move_on_after(0.0001 * (number % 3)):
                seen.append(await anext(subscriber))
        while len(seen) < 300:
            seen.append(await anext(subscriber))
        assert seen == [event(number) for number in range(300)]
        publisher.close()
