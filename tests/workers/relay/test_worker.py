"""A real relay worker between a client and a transceiver that we play by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from config.model import DatapathChoice
from ipc.messages.lifecycle import Drain, Ready
from ipc.messages.routes import Routes, RoutesApplied
from tests.support.relay_stage import PATIENCE, SRTP, check, staged, udp
from tests.support.short_path import short_directory
from workers.wire.link import RecordType, encode_record

directory = short_directory


@pytest.mark.process
@pytest.mark.parametrize("datapath", [DatapathChoice.NATIVE, DatapathChoice.PYTHON])
async def test_from_the_first_check_to_the_drained_end(
    directory: Path, datapath: DatapathChoice
) -> None:
    async with staged(directory, datapath) as stage:
        assert stage.link is not None
        assert any(isinstance(m, Ready) and m.datapath.startswith(datapath) for m in stage.heard)
        client, client6 = await udp(), await udp("::1")
        label = await stage.assure(client, 1)
        label6 = await stage.assure(client6, 2, at=1)
        assert label != label6
        await stage.exchange(client, label)
        await stage.exchange(client6, label6, at=1)

        # Strangers and impostors change nothing.
        stranger = await udp()
        for n in range(3000):
            noise = (SRTP, b"\xff", check(1)[:-1], check(n), b"\x16\xfe\xfd")[n % 5]
            await stranger.sendto(noise, stage.public[0])
            if n % 100 == 0:  # no more than a receive buffer of the default size holds
                await stage.exchange(client, label)
        impostor = await udp()
        await impostor.sendto(encode_record(RecordType.FORGET, 0, label, b""), stage.link)
        await impostor.sendto(encode_record(RecordType.DATA, 0, label, b"evil"), stage.link)
        await stage.exchange(client, label)

        def counted() -> bool:
            return stage.stats is not None and stage.stats.refused.get("unknown_peer") == 2

        await stage.until(counted)
        stats = stage.stats
        assert stats is not None
        assert (stats.flows, stats.assured_total) == (2, 2)
        assert {"unknown_kind", "malformed_stun"} <= stats.refused.keys()

        # It drains while flows live, and ends when their sessions and routes do.
        stage.tell(Drain(within=60))
        await stage.exchange(client6, label6, at=1)
        await stage.say(encode_record(RecordType.FORGET, 0, label, b""))
        stage.tell(Routes(serial=2, routes=()))
        await stage.until(lambda: RoutesApplied(2) in stage.heard)
        with trio.fail_after(PATIENCE):
            while stage.process.poll() is None:
                await trio.sleep(0.02)
        assert stage.process.returncode == 0
        for sock in (client, client6, stranger, impostor):
            sock.close()
