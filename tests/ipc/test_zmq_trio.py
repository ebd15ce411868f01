"""The ZeroMQ adapter with real sockets: nothing lost, nothing doubled, nothing stuck."""

from __future__ import annotations

import os
import random
import select
import socket
import stat
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
import trio.testing

from ipc.codec import MAX_MESSAGE
from ipc.zmq_trio import (
    EndpointError,
    EndpointInUse,
    Pattern,
    Unreachable,
    ZmqSocket,
    request_blocking,
)
from tests.support.short_path import short_directory

directory = short_directory


def url(directory: Path, name: str = "s") -> str:
    return f"ipc://{directory}/{name}"


@pytest.mark.parametrize(
    ("receivers", "senders", "hwm", "cancelled"),
    [(1, 1, 50, False), (4, 4, 50, True), (8, 8, 1, True), (1, 8, 2, True), (8, 1, 5, True)],
)
async def test_nothing_is_lost_or_doubled_when_receivers_and_senders_are_cancelled_at_random(
    directory: Path, receivers: int, senders: int, hwm: int, cancelled: bool
) -> None:
    choose = random.Random(receivers * 100 + senders * 10 + hwm)
    patience = [0.0, 0.00005, 0.001, 0.01, 1.0]
    each = 400
    total = senders * each

    async def send_all(sock: ZmqSocket, first: int) -> None:
        for number in range(first, first + each):
            sent = False
            while not sent:
                with trio.move_on_after(choose.choice(patience) if cancelled else 60):
                    await sock.send([b"%d" % number])
                    sent = True

    async def receive_all(sock: ZmqSocket, seen: Counter[int], batch: bool) -> None:
        async with trio.open_nursery() as nursery:

            async def receive() -> None:
                while seen.total() < total:
                    with trio.move_on_after(choose.choice(patience) if cancelled else 60):
                        if batch:
                            seen.update(int(frames[0]) for frames in await sock.receive_batch(7))
                        else:
                            seen[int((await sock.receive())[0])] += 1
                nursery.cancel_scope.cancel()

            for _ in range(receivers):
                nursery.start_soon(receive)

    seen_a: Counter[int] = Counter()
    seen_b: Counter[int] = Counter()
    with (
        ZmqSocket(Pattern.DEALER, hwm=hwm) as a,
        ZmqSocket(Pattern.DEALER, hwm=hwm) as b,
        trio.fail_after(30),
    ):
        a.bind(url(directory))
        b.connect(url(directory))
        async with trio.open_nursery() as nursery:
            for index in range(senders):
                nursery.start_soon(send_all, a, index * each)
                nursery.start_soon(send_all, b, index * each)
            nursery.start_soon(receive_all, a, seen_a, False)
            nursery.start_soon(receive_all, b, seen_b, True)
    assert seen_a == seen_b == Counter(range(total))


async def test_a_receiver_wakes_though_a_sender_on_the_same_socket_ate_the_edge(
    directory: Path,
) -> None:
    with ZmqSocket(Pattern.DEALER) as a, ZmqSocket(Pattern.DEALER) as b, trio.fail_after(10):
        a.bind(url(directory))
        b.connect(url(directory))
        await b.send([b"connected"])
        await a.receive()
        got: list[bytes] = []

        async def receive() -> None:
            for _ in range(200):
                got.extend(await a.receive())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            for number in range(200):
                await b.send([b"%d" % number])
                assert a.send_nowait([b"noise"])
                await b.receive()
        assert got == [b"%d" % number for number in range(200)]


@pytest.mark.parametrize("look", [ZmqSocket.receive_nowait, ZmqSocket.receive_batch_nowait])
async def test_a_sender_wakes_though_somebody_who_found_nothing_to_receive_ate_the_edge(
    directory: Path, look: Callable[[ZmqSocket], object]
) -> None:
    with (
        ZmqSocket(Pattern.DEALER, hwm=1) as a,
        ZmqSocket(Pattern.DEALER, hwm=1) as b,
        trio.fail_after(10),
    ):
        b.bind(url(directory))
        a.connect(url(directory))
        large = bytes(1 << 16)
        sent = 0
        while a.send_nowait([large]) or not sent:
            sent += 1
            time.sleep(0.01)  # its thread fills what there is of buffers
        async with trio.open_nursery() as nursery:
            nursery.start_soon(a.send, [b"last"])
            await trio.testing.wait_all_tasks_blocked()
            received = 0
            while received < sent:
                received += b.receive_nowait() is not None
                assert not look(a)
        assert await b.receive() == [b"last"]


async def test_closing_wakes_everyone_who_waits(directory: Path) -> None:
    sock = ZmqSocket(Pattern.DEALER, hwm=1, immediate=True)
    sock.connect(url(directory))
    woken = 0

    async def wait(receive: bool) -> None:
        nonlocal woken
        with pytest.raises(trio.ClosedResourceError):
            await (sock.receive() if receive else sock.send([b"x"]))
        woken += 1

    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            for index in range(6):
                nursery.start_soon(wait, index % 2 == 0)
            await trio.testing.wait_all_tasks_blocked()
            sock.close()
    assert woken == 6
    sock.close()
    with pytest.raises(trio.ClosedResourceError):
        await sock.receive()
    with pytest.raises(trio.ClosedResourceError):
        sock.send_nowait([b"x"])


async def test_a_path_in_use_is_refused_and_free_again_after_close(directory: Path) -> None:
    first = ZmqSocket(Pattern.ROUTER)
    first.bind(url(directory))
    with ZmqSocket(Pattern.ROUTER) as second:
        with pytest.raises(EndpointInUse, match="in use by a running process"):
            second.bind(url(directory))
        with ZmqSocket(Pattern.DEALER) as client, trio.fail_after(5):
            client.connect(url(directory))
            await client.send([b"still the first"])
            assert (await first.receive())[1] == b"still the first"
        first.close()
        assert not (directory / "s").exists()
        second.bind(url(directory))
        with ZmqSocket(Pattern.DEALER) as client, trio.fail_after(5):
            client.connect(url(directory))
            await client.send([b"now the second"])
            assert (await second.receive())[1] == b"now the second"


async def test_a_file_left_by_a_killed_process_is_replaced(directory: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(directory / "s"))
    with ZmqSocket(Pattern.PULL) as pull, ZmqSocket(Pattern.PUSH) as push, trio.fail_after(5):
        pull.bind(url(directory))
        push.connect(url(directory))
        await push.send([b"hello"])
        assert await pull.receive() == [b"hello"]


@pytest.mark.parametrize("mode", [0o600, 0o660])
def test_the_socket_file_has_the_mode_asked_for_whatever_the_umask(
    directory: Path, mode: int
) -> None:
    before = os.umask(0o077)
    try:
        with ZmqSocket(Pattern.ROUTER) as sock:
            sock.bind(url(directory), mode=mode)
            assert stat.S_IMODE((directory / "s").stat().st_mode) == mode
    finally:
        os.umask(before)


@pytest.mark.parametrize(
    ("endpoint", "why"),
    [
        ("ipc:///" + "x" * 104, "at most 103 fit"),
        ("nonsense", "is not TRANSPORT://ADDRESS"),
        ("carrier://pigeon", "carrier://pigeon: "),
        ("ipc:///nowhere/at/all", "No such file or directory"),
    ],
)
def test_an_end_point_that_cannot_be_is_named(endpoint: str, why: str) -> None:
    with ZmqSocket(Pattern.ROUTER) as sock, pytest.raises(EndpointError, match=why):
        sock.bind(endpoint)


def test_overflow_is_counted_and_never_blocks(directory: Path) -> None:
    with ZmqSocket(Pattern.PUSH, hwm=3, immediate=True) as push:
        push.connect(url(directory))
        assert not push.send_nowait([b"nobody there"])
        assert push.overflowed == 1


async def test_a_router_says_when_a_peer_is_gone(directory: Path) -> None:
    with ZmqSocket(Pattern.ROUTER) as router, trio.fail_after(5):
        router.bind(url(directory))
        assert not router.send_nowait([b"nobody", b"x"])
        assert router.unreachable == 1
        dealer = ZmqSocket(Pattern.DEALER, identity=b"me")
        dealer.connect(url(directory))
        await dealer.send([b"x"])
        assert await router.receive() == [b"me", b"x"]
        assert router.send_nowait([b"me", b"x"])
        dealer.close()
        while router.send_nowait([b"me", b"x"]):
            await trio.sleep(0.001)
        assert router.unreachable == 2


async def test_a_frame_above_the_cap_never_arrives(directory: Path) -> None:
    with (
        ZmqSocket(Pattern.PULL) as pull,
        ZmqSocket(Pattern.PUSH) as big,
        ZmqSocket(Pattern.PUSH) as good,
        trio.fail_after(5),
    ):
        pull.bind(url(directory))
        big.connect(url(directory))
        good.connect(url(directory))
        await big.send([bytes(MAX_MESSAGE + 1)])
        await good.send([bytes(MAX_MESSAGE)])
        assert await pull.receive() == [bytes(MAX_MESSAGE)]


async def test_a_socket_without_a_bound_is_refused() -> None:
    with pytest.raises(ValueError, match="unbounded"):
        ZmqSocket(Pattern.DEALER, hwm=0)


async def test_a_blocking_request_is_answered_or_says_why_not(directory: Path) -> None:
    with pytest.raises(Unreachable, match="No such file"):
        request_blocking(url(directory), [b"x"], 1)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(directory / "dead"))
    with pytest.raises(Unreachable, match="refused"):
        request_blocking(url(directory, "dead"), [b"x"], 1)
    with ZmqSocket(Pattern.ROUTER) as router, trio.fail_after(10):
        router.bind(url(directory))
        with pytest.raises(TimeoutError, match="within"):
            request_blocking(url(directory), [b"x"], 0.05)

        async def answer() -> None:
            while True:
                peer, *rest = await router.receive()
                router.send_nowait([peer, *rest, b"yes"])

        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer)
            reply = await trio.to_thread.run_sync(request_blocking, url(directory), [b"x"], 5.0)
            assert reply == [b"x", b"yes"]
            nursery.cancel_scope.cancel()


async def test_one_task_waits_for_several_sockets(directory: Path) -> None:
    names = ("one", "two")
    with (
        ZmqSocket(Pattern.PULL) as one,
        ZmqSocket(Pattern.PULL) as two,
        ZmqSocket(Pattern.PUSH) as to_one,
        ZmqSocket(Pattern.PUSH) as to_two,
        select.epoll() as news,
    ):
        for pull, push, name in zip((one, two), (to_one, to_two), names, strict=True):
            pull.bind(url(directory, name))
            push.connect(url(directory, name))
            news.register(pull.descriptor, select.EPOLLIN)
        assert one.receive_batch_nowait() == []
        seen: list[bytes] = []

        async def send() -> None:
            for number in range(500):
                await (to_two if number % 3 else to_one).send([b"%d" % number])

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            with trio.fail_after(20):
                while len(seen) < 500:
                    if not one.receivable() and not two.receivable():
                        await trio.lowlevel.wait_readable(news.fileno())
                    for pull in (one, two):
                        seen += [frames[0] for frames in pull.receive_batch_nowait(limit=7)]
        assert sorted(map(int, seen)) == list(range(500))
