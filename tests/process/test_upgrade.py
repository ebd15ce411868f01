"""Another version is installed under live calls, and runs: no call ends, nothing that is said is lost."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from ipc.messages.admin import UpgradeReply, UpgradeRequest
from ipc.rpc import RpcClient
from tests.process.test_roll import tandem
from tests.support.appliance import Appliance, running_appliance
from tests.support.live_calls import CALLS, live_calls
from tests.support.release import break_module, install

pytestmark = pytest.mark.process

MANY = 20
OLD, NEW = "1.0.0", "2.0.0"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Where the old version is installed."""
    tree = tmp_path / "tree"
    install(tree, OLD)
    return tree


async def releases(appliance: Appliance) -> dict[str, tuple[str, int]]:
    return {w.name: (w.release, w.pid) for w in (await appliance.status()).workers}


@pytest.mark.parametrize("over", ["udp", "tcp"])
async def test_live_calls_notice_nothing(tmp_path: Path, tree: Path, over: str) -> None:
    options = ("--tcp",) if over == "tcp" else ()
    config = {"relay": {"workers": 2}, "transceiver": {"workers": 2}}
    async with running_appliance(tmp_path, config, tree) as appliance:
        before = await releases(appliance)
        assert {release for release, _ in before.values()} == {OLD}
        async with live_calls(appliance, count=MANY, options=options) as calls:
            install(tree, NEW)
            code, reply = await tandem(appliance, "upgrade")
            assert code == 0, reply
            assert (reply["from"], reply["to"]) == (OLD, NEW)
            assert reply["replaced"] == [
                *("relay-0", "relay-1", "transceiver-0", "transceiver-1", "signaling-0")
            ]
            assert sum(reply["finishing"].values()) == MANY
            status = await appliance.status()
            assert (status.version, status.pid, status.state) == (NEW, appliance.pid, "ready")
            assert len((await appliance.sessions()).rows) == MANY
            calls.hang_up()
        report, said = calls.report, appliance.log()
        assert report["sessions_ok"] == MANY, f"{report}\n{said}"
        assert report["packets_lost"] == 0, f"{report}\n{said}"
        assert report["tcp_reconnects"] == 0, f"{report}\n{said}"
        status = await appliance.until(lambda s: all(w.release == NEW for w in s.workers))
        assert not {w.pid for w in status.workers} & {pid for _, pid in before.values()}
        code, again = await tandem(appliance, "upgrade")
        assert (code, again["replaced"]) == (0, [])


def make_newer(tree: Path) -> None:
    """What a later version may have more: a key, and something that relays are given."""
    replace(
        tree / "config/model.py",
        "class RelaySection(_Section):",
        "class RelaySection(_Section):\n    wings: int = 2",
    )
    replace(
        tree / "ipc/messages/lifecycle.py",
        '    LINK = "link"',
        '    LINK = "link"\n    WORMHOLE = "wormhole"',
    )
    replace(
        tree / "appliance/supervisor/outfit.py",
        "                room = MAX_DESCRIPTORS",
        "                given.append(_given(DescriptorKind.WORMHOLE, self.sockets.links[index]))\n"
        "                room = MAX_DESCRIPTORS",
    )


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))


async def test_back_to_a_version_that_knows_less(tmp_path: Path, tree: Path) -> None:
    install(tree, NEW)
    make_newer(tree)
    config: dict[str, dict[str, Any]]
    config = {"relay": {"workers": 2}, "supervisor": {"spares": False}}
    async with running_appliance(tmp_path, config, tree) as appliance:
        before = await releases(appliance)
        async with live_calls(appliance) as calls:
            install(tree, OLD)
            # Meanwhile a relay dies: the supervisor is of the new version, the successor of the old one.
            os.kill(before["relay-1"][1], signal.SIGKILL)
            await appliance.until(
                lambda s: (
                    any(w.name == "relay-1" and w.release == OLD for w in s.workers)
                    and s.state == "ready"
                )
            )
            code, reply = await tandem(appliance, "upgrade")
            assert code == 0, f"{reply}\n{appliance.log()}"
            assert (reply["from"], reply["to"]) == (NEW, OLD)
            assert len((await appliance.sessions()).rows) == CALLS
            status = await appliance.status()
            assert (status.version, status.state) == (OLD, "ready")
            calls.hang_up()
        report, said = calls.report, appliance.log()
        assert report["sessions_failed"] == 0, f"{report}\n{said}"
        await appliance.until(lambda s: all(w.release == OLD for w in s.workers))


async def test_a_version_that_does_not_start_is_not_tried(tmp_path: Path, tree: Path) -> None:
    async with running_appliance(tmp_path, None, tree) as appliance:
        before = await releases(appliance)
        install(tree, NEW)
        break_module(tree, "appliance/supervisor/configuration.py")
        code, problem = await tandem(appliance, "upgrade")
        assert code == 1
        assert "it does not start: RuntimeError: a mistake of the new version" in problem
        assert await releases(appliance) == before
        assert (await appliance.status()).version == OLD


@pytest.mark.parametrize("role", ["transceiver", "signaling", "relay"])
async def test_a_canary_that_does_not_come_up_leaves_the_old_processes(
    tmp_path: Path, tree: Path, role: str
) -> None:
    config = {"relay": {"workers": 2}}
    async with running_appliance(tmp_path, config, tree) as appliance:
        before = await releases(appliance)
        async with live_calls(appliance) as calls:
            install(tree, NEW)
            sound = (tree / f"workers/{role}/shell.py").read_text()
            break_module(tree, f"workers/{role}/shell.py")
            code, reply = await tandem(appliance, "upgrade")
            assert code == 1
            assert f"{role}-" in reply["given_up"]
            status = await appliance.until(lambda s: s.state == "ready")
            assert status.version == NEW
            assert await releases(appliance) == before
            (tree / f"workers/{role}/shell.py").write_text(sound)
            code, reply = await tandem(appliance, "upgrade")
            assert code == 0, reply
            assert len((await appliance.sessions()).rows) == CALLS
            calls.hang_up()
        report = calls.report
        assert report["sessions_failed"] == 0, f"{report}\n{appliance.log()}"
        assert report["packets_lost"] == 0, f"{report}\n{appliance.log()}"


async def test_an_order_to_end_that_comes_in_between_is_not_forgotten(tmp_path: Path) -> None:
    config = {"supervisor": {"drain_timeout": 30.0}}
    async with running_appliance(tmp_path, config) as appliance:
        async with live_calls(appliance) as calls:
            with RpcClient(appliance.admin) as client:
                reply = await client.call(UpgradeRequest(force=True), within=60)
            assert isinstance(reply, UpgradeReply)
            assert reply.leaving
            appliance.signal(signal.SIGTERM)
        assert await appliance.wait() == 0
        assert calls.report["sessions_ok"] == CALLS
