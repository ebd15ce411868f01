"""A new key of the host's own, whoever else wants one at the same time."""

from __future__ import annotations

from pathlib import Path

import trio

from appliance.supervisor.generations import Generations
from appliance.supervisor.keys import UfragKeys, load_keys
from appliance.supervisor.outfit import Outfitter
from appliance.supervisor.rotation import KeyDesk
from config.ids import HostId, Role
from config.model import Config, UfragSection
from ipc.messages.keys import KeysReply, RotateKeys
from tests.support.quiet_log import LogLines


async def test_two_that_rotate_at_a_time_make_two_keys(tmp_path: Path) -> None:
    outfitter = Outfitter(
        load_keys(UfragSection(), tmp_path),
        Generations(tmp_path),
        tmp_path,
        control="",
        bus="",
        host=HostId(""),
        admin="",
    )
    known: dict[Role, dict[str, bytes]] = {}
    turn = trio.Lock()

    async def learn(keys: UfragKeys, roles: frozenset[Role]) -> str:
        """One after the other, as a reload does it."""
        async with turn:
            outfitter.keyring.add(keys)
            await trio.lowlevel.checkpoint()
            known.update(dict.fromkeys(roles, outfitter.keyring.keys))
        return ""

    lines = LogLines()
    desk = KeyDesk(lambda: Config(), tmp_path, outfitter, learn, lines.log)
    replies = []

    async def rotate() -> None:
        replies.append(await desk.answer(RotateKeys()))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(rotate)
        nursery.start_soon(rotate)
    lines.close()
    assert all(isinstance(reply, KeysReply) for reply in replies)
    kept = load_keys(UfragSection(), tmp_path)
    assert set(kept.keys) == {"0", "1", "2"}
    assert kept.mint_with == outfitter.keyring.minting(UfragSection()) == "2"
    assert known[Role.RELAY] == known[Role.TRANSCEIVER] == kept.keys
