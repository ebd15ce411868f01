"""A relay worker is killed, replaced, or bypassed by the kernel: its flows go on without a word."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from config.model import DatapathChoice
from ipc.messages.lifecycle import Release, Released, Stop
from ipc.messages.routes import LiveRoute, RoutesApplied
from tests.support.relay_stage import (
    PATIENCE,
    SRTP,
    Stage,
    came,
    endpoint,
    staged,
    udp,
)
from tests.support.short_path import short_directory
from workers.wire.link import (
    FLAG_ASSURED,
    RecordType,
    encode_record,
    parse_intro,
    parse_records,
)

directory = short_directory
pytestmark = pytest.mark.process
NATIVE = DatapathChoice.NATIVE
BATCH = 64


class Talk:
    """Numbered media of one client, and what of them came."""

    def __init__(self, stage: Stage, client: trio.socket.SocketType) -> None:
        self._stage = stage
        self._client = client
        self.sent = 0
        self.labels: set[int] = set()
        self.numbers: set[int] = set()

    async def speak(self) -> None:
        while True:
            await self._client.sendto(SRTP + self.sent.to_bytes(4, "big"), self._stage.public[0])
            self.sent += 1
            # As many as the kernel holds with its default buffer while a worker starts from nothing.
            await trio.sleep(0.01)

    async def listen(self) -> None:
        while True:
            datagram, _ = await self._stage.far.recvfrom(65536)
            for record in parse_records(datagram):
                assert record.type is RecordType.DATA
                self.labels.add(record.label)
                self.numbers.add(int.from_bytes(record.payload[-4:], "big"))

    async def until_heard(self, number: int) -> None:
        with trio.fail_after(PATIENCE):
            while max(self.numbers, default=-1) < number:
                await trio.sleep(0.01)


@pytest.mark.parametrize("kindly", [False, True])
async def test_media_go_on_through_a_successor(directory: Path, kindly: bool) -> None:
    async with staged(directory, NATIVE) as stage:
        client = await udp()
        label = await stage.assure(client, 1)
        talk = Talk(stage, client)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(talk.speak)
            nursery.start_soon(talk.listen)
            for generation in (2, 3):
                await talk.until_heard(talk.sent + 10)
                if kindly:
                    stage.tell(Release())
                    await stage.until(lambda: Released() in stage.heard)
                    stage.tell(Stop())
                else:
                    stage.process.kill()
                with trio.fail_after(PATIENCE):
                    while stage.process.poll() is None:
                        await trio.sleep(0.001)
                assert (stage.process.returncode == 0) is kindly
                await stage.succeed(generation)
                await talk.until_heard(talk.sent + 10)
            nursery.cancel_scope.cancel()
        assert talk.labels == {label}
        lost = set(range(max(talk.numbers))) - talk.numbers
        assert len(lost) <= (0 if kindly else 2 * BATCH)
        await stage.exchange(client, label)
        # What ends, ends; what comes anew gets a slot of its own.
        other = await udp()
        assert await stage.assure(other, 2) >> 8 != label >> 8
        await stage.say(encode_record(RecordType.FORGET, 0, label, b""))
        await client.sendto(SRTP, stage.public[0])
        await stage.until(lambda: stage.stats is not None and stage.stats.flows == 1)
        for sock in (client, other):
            sock.close()


async def test_a_successor_removes_flows_of_routes_that_are_no_more(directory: Path) -> None:
    async with staged(directory, NATIVE) as stage:
        client = await udp()
        await stage.exchange(client, await stage.assure(client, 1))
        stage.process.kill()
        (live,) = stage.routes
        stage.routes = (LiveRoute(live.route._replace(epoch=live.route.epoch + 1), live.link),)  # type: ignore[arg-type]
        await stage.succeed()
        before = stage.stats
        await stage.until(lambda: stage.stats is not before)
        assert stage.stats is not None
        assert stage.stats.flows == 0
        client.close()


async def test_a_worker_takes_a_flow_that_its_sibling_knows(directory: Path) -> None:
    """Two workers on one table of sockets is more than a test can steer: the second one is a successor
    with an empty table of its own, and the first one's as its sibling's."""
    async with staged(directory, NATIVE) as first:
        client = await udp()
        old = await first.assure(client, 1)
        await first.exchange(client, old)  # the table has it with the next datagram
        first.process.kill()
        first.process.wait()
        first.swap_table()
        await first.succeed()
        await client.sendto(SRTP, first.public[0])
        (record,) = await first.records()
        assert record.type is RecordType.INTRO
        key, datagram = parse_intro(record.payload)
        assert (key.client, bytes(datagram)) == (endpoint(client), SRTP)
        await first.say(encode_record(RecordType.DATA, FLAG_ASSURED, record.label, b""))
        await first.say(encode_record(RecordType.DATA, 0, record.label, SRTP))
        assert await came(client, first.public[0]) == SRTP
        await first.exchange(client, record.label)
        assert record.label != old
        assert RoutesApplied(1) in first.heard
        client.close()
