"""What a real relay worker tells operators, while it relays."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from config.ids import Route
from config.model import DatapathChoice
from ipc.messages.flows import DecodeUfrag, FlowList, ListFlows, UfragDecoded
from ipc.messages.lifecycle import Ready
from ipc.messages.sessions import ListSessions
from ipc.rpc import RpcClient, RpcFailed
from tests.support.relay_stage import KEY, ROUTE, Stage, check, endpoint, staged, udp
from tests.support.short_path import short_directory
from workers.wire.ufrag import UfragKeys

directory = short_directory
KEYS = UfragKeys({"0": KEY}, "0")


def desk(stage: Stage) -> RpcClient:
    (ready,) = [message for message in stage.heard if isinstance(message, Ready)]
    return RpcClient(ready.rpc)


async def flows(client: RpcClient, question: ListFlows) -> FlowList:
    reply = await client.call(question, within=10)
    assert isinstance(reply, FlowList)
    return reply


@pytest.mark.process
@pytest.mark.parametrize("datapath", [DatapathChoice.NATIVE, DatapathChoice.PYTHON])
async def test_flows_pending_and_assured(directory: Path, datapath: DatapathChoice) -> None:
    async with staged(directory, datapath) as stage:
        with desk(stage) as client:
            assert await flows(client, ListFlows()) == FlowList((), 0)
            one, two, three = await udp(), await udp("::1"), await udp()
            labels = [await stage.assure(one, 1), await stage.assure(two, 2, at=1)]
            await three.sendto(check(3), stage.public[0])
            (record,) = await stage.records()
            await stage.exchange(one, labels[0])

            found = await flows(client, ListFlows())
            assert found.total == 3
            by_label = {row.label: row for row in found.rows}
            assert by_label.keys() == {*labels, record.label}
            row = by_label[labels[1]]
            assert (row.client, row.local) == (endpoint(two), stage.public[1])
            assert (row.state, row.route, row.link) == ("assured", ROUTE, endpoint(stage.far))
            assert 0 <= row.silence < 30
            assert by_label[record.label].state == "pending"

            assert len((await flows(client, ListFlows(limit=2))).rows) == 2
            mine = await flows(client, ListFlows(client=endpoint(one)))
            assert [r.label for r in mine.rows] == labels[:1]
            waiting = await flows(client, ListFlows(client=endpoint(three)))
            assert [r.state for r in waiting.rows] == ["pending"]
            # Who looks takes nothing away.
            await stage.exchange(one, labels[0])
            await stage.exchange(two, labels[1], at=1)
        for sock in (one, two, three):
            sock.close()


@pytest.mark.process
async def test_where_a_ufrag_leads(directory: Path) -> None:
    async with staged(directory, DatapathChoice.PYTHON) as stage:
        with desk(stage) as client:

            async def decoded(ufrag: str) -> UfragDecoded:
                reply = await client.call(DecodeUfrag(ufrag), within=10)
                assert isinstance(reply, UfragDecoded)
                return reply

            good = KEYS.mint(ROUTE, b"nonce!")
            assert await decoded(good) == UfragDecoded(route=ROUTE, link=endpoint(stage.far))
            gone = Route(ROUTE.cluster, ROUTE.transceiver, type(ROUTE.epoch)(ROUTE.epoch + 1))
            assert await decoded(KEYS.mint(gone, b"nonce!")) == UfragDecoded(route=gone)
            assert (await decoded("x" + good[1:])).problem == "unknown_key"
            assert await decoded(good[:-1]) == UfragDecoded("forged_ufrag", "length")
            bad = "1" if good[-1] != "1" else "2"
            assert (await decoded(good[:-1] + bad)).problem == "forged_ufrag"
            with pytest.raises(RpcFailed, match="does not answer ListSessions"):
                await client.call(ListSessions(), within=10)


@pytest.mark.process
async def test_many_who_ask_at_once_are_refused_and_harm_nobody(directory: Path) -> None:
    async with staged(directory, DatapathChoice.NATIVE) as stage:
        one = await udp()
        label = await stage.assure(one, 1)
        outcomes: list[bool] = []

        async def look(client: RpcClient) -> None:
            try:
                outcomes.append((await flows(client, ListFlows())).total == 1)
            except RpcFailed as error:
                outcomes.append("overloaded" not in str(error))

        with desk(stage) as client:
            async with trio.open_nursery() as nursery:
                for _ in range(200):
                    nursery.start_soon(look, client)
                await stage.exchange(one, label)
        assert len(outcomes) == 200
        assert any(outcomes)
        one.close()
