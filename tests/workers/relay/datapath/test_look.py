"""Whoever looks at the table sees the installed flows, page by page, and disturbs nothing."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from config.ids import Endpoint
from tests.workers.relay.datapath.test_datapath import (
    SRTP,
    Bench,
    Maker,
    make,
    make_native,
    route,
    stack,
)
from workers.relay.core.interface import RemoveFlow
from workers.relay.datapath import look, native, python
from workers.relay.datapath.base import Datapath, FlowSeen

__all__ = ["make", "stack"]


def use(datapath: Datapath, slots: int) -> None:
    """As the core does before it gives out a label."""
    if datapath.memory is not None:
        datapath.memory.used[0] = slots


def everything(datapath: Datapath, now: float) -> list[FlowSeen]:
    found, place = datapath.look(0, now)
    while place:
        more, place = datapath.look(place, now)
        found += more
    return found


def test_installed_flows_are_seen_and_found(stack: ExitStack, make: Maker) -> None:
    bench = Bench(stack, make)
    use(bench.datapath, 10)
    assert everything(bench.datapath, bench.now) == []
    one, two = bench.clients[:2]
    labels = [
        bench.install(one, 5),
        bench.install(two, 2, owner=1),
        bench.install(bench.client6, 9),
    ]
    bench.now += 3
    bench.from_client(two, SRTP)
    seen = {flow.label: flow for flow in everything(bench.datapath, bench.now)}
    assert seen.keys() == set(labels)
    first = seen[labels[0]]
    assert (first.key, first.route) == (bench.key(one), route(0))
    assert first.link == bench.transceivers[0].endpoint
    assert first.silence == pytest.approx(3, abs=0.2)
    assert seen[labels[1]].silence == pytest.approx(0, abs=0.2)
    assert seen[labels[2]].key == bench.key(bench.client6)

    assert bench.datapath.find(two.endpoint, bench.now) == [seen[labels[1]]]
    assert bench.datapath.find(bench.client6.endpoint, bench.now) == [seen[labels[2]]]
    assert bench.datapath.find(Endpoint("127.0.0.1", 9), bench.now) == []

    bench.datapath.remove(RemoveFlow(labels[0]), bench.now)
    assert {f.label for f in everything(bench.datapath, bench.now)} == set(labels[1:])
    assert bench.datapath.find(one.endpoint, bench.now) == []


def test_a_large_table_comes_in_pages(
    stack: ExitStack, make: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(look, "SLOTS", 4)
    monkeypatch.setattr(python, "LOOK", 4)
    bench = Bench(stack, make, clients=11)
    use(bench.datapath, 21)
    labels = {bench.install(client, 2 * n) for n, client in enumerate(bench.clients)}
    first, place = bench.datapath.look(0, bench.now)
    assert 0 < len(first) <= 4
    assert place
    assert {flow.label for flow in everything(bench.datapath, bench.now)} == labels


def test_the_threads_clock_is_the_clock_of_silence(stack: ExitStack) -> None:
    bench = Bench(stack, make_native)
    datapath = bench.datapath
    assert isinstance(datapath, native.NativeDatapath)
    use(datapath, 1)
    datapath.start(None)
    bench.install(bench.clients[0], 0)
    while not (seen := datapath.find(bench.clients[0].endpoint, bench.now)):
        pass
    assert 0 <= seen[0].silence < 60
    datapath.stop()
