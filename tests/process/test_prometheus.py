"""A real Prometheus has an answer to whatever docs/grafana.json asks, and no alert while all is well."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any, Final

import pytest
import trio

from tests.support.appliance import free_tcp_port, running_appliance
from tests.support.live_calls import live_calls
from tests.support.prometheus_server import Prometheus, watching
from tests.support.services import service, there
from tests.support.short_path import short_directory as short_directory
from tests.support.tree import ROOT

pytestmark = pytest.mark.process
BOARD: Final[dict[str, Any]] = json.loads((ROOT / "docs" / "grafana.json").read_text())
PANELS: Final = {
    target["expr"]: panel["title"]
    for panel in BOARD["panels"]
    for target in panel.get("targets", ())
}
ELSEWHERE: Final = ("tandem_fleet_", "tandem_relay_cache_")
"""What only a host of a fleet has."""
SERVICE: Final = Path(__file__).with_name("echo_service.py")


async def unanswered(prometheus: Prometheus) -> list[str]:
    found = []
    for asked, title in PANELS.items():
        query = asked.replace("$__rate_interval", "30s").replace("$instance", ".*")
        answer = await prometheus.ask("query", query=query)
        if not any(sample["value"][1] != "NaN" for sample in answer["result"]):
            found.append(f"{title}: {asked}")
    return [each for each in found if not any(name in each for name in ELSEWHERE)]


async def test_every_panel_has_something_to_show(tmp_path: Path, short_directory: Path) -> None:
    good, away = (f"ipc://{short_directory}/{name}.sock" for name in ("good", "away"))
    ops = f"127.0.0.1:{free_tcp_port()}"
    overrides: dict[str, dict[str, Any]] = {
        "ops": {"listen": [ops]},
        "backends": {"endpoints": {"good": [good], "away": [away]}, "default": "good"},
    }
    async with (
        service(SERVICE, good),
        running_appliance(tmp_path, overrides) as appliance,
        watching(ops, tmp_path) as prometheus,
    ):
        await there(appliance)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            relay = (appliance.relay.host, appliance.relay.port)
            stranger.sendto(b"", relay)
            stranger.sendto(b"\x16stranger", relay)
        async with live_calls(appliance, count=2, path="/whip/good", options=("--data",)):
            with trio.move_on_after(60):
                while await unanswered(prometheus):
                    await trio.sleep(1)
            assert await unanswered(prometheus) == []
        for group in (await prometheus.ask("rules"))["groups"]:
            for rule in group["rules"]:
                assert rule["health"] == "ok", rule
                assert rule["state"] == "inactive", rule
