"""The supervisor lets go only for a version that can take its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.supervisor import upgrade
from appliance.supervisor.preflight import Installed
from appliance.supervisor.upgrade import Upgrader
from ipc.messages.admin import UpgradeReply, UpgradeRequest
from ipc.messages.lifecycle import PROTOCOL_VERSION
from ipc.release import release
from tests.support.quiet_log import LogLines


@pytest.mark.parametrize(
    ("found", "force", "refusal", "leaves", "problem"),
    [
        (Installed("99", PROTOCOL_VERSION), False, "", True, ""),
        (Installed(release(), PROTOCOL_VERSION), False, "", False, ""),
        (Installed(release(), PROTOCOL_VERSION), True, "", True, ""),
        (Installed("99", PROTOCOL_VERSION), False, "it is starting", False, "it is starting"),
        (Installed("99", PROTOCOL_VERSION + 1), True, "", False, "cannot live side by side"),
        (Installed("99", PROTOCOL_VERSION, ("f:1: no such key",)), True, "", False, "no such key"),
    ],
)
async def test_when_it_leaves(
    monkeypatch: pytest.MonkeyPatch,
    found: Installed,
    force: bool,
    refusal: str,
    leaves: bool,
    problem: str,
) -> None:
    left: list[bool] = []

    async def installed(file: Path | None, environment: dict[str, str]) -> Installed:
        return found

    monkeypatch.setattr(upgrade, "installed", installed)
    lines = LogLines()
    upgrader = Upgrader(None, lines.log, refusal=lambda: refusal, leave=lambda: left.append(True))
    reply = await upgrader.upgrade(UpgradeRequest(force))
    lines.close()
    assert isinstance(reply, UpgradeReply)
    assert (reply.running, reply.installed) == (release(), found.release)
    assert (reply.leaving, left) == (leaves, [True] * leaves)
    assert problem in "".join(reply.problems)
    assert bool(reply.problems) == bool(problem)
