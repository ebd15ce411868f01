"""A Prometheus that looks at one address each second, with the alerts of docs/."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

import httpx
import trio

from tests.support.appliance import free_tcp_port
from tests.support.child import child
from tests.support.tree import ROOT

READY_WITHIN = 60.0


class Prometheus:
    """Its HTTP API."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def ask(self, what: str, **parameters: str) -> Any:
        """What is under `data` of the answer to `what`, as `query`."""
        async with httpx.AsyncClient(trust_env=False) as client:
            url = f"{self._url}/api/v1/{what}"
            answer = (await client.get(url, params=parameters, timeout=20)).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    async def is_ready(self) -> bool:
        """It has looked at its target at least once, and found it."""
        try:
            targets = (await self.ask("targets"))["activeTargets"]
        except (httpx.HTTPError, json.JSONDecodeError):
            return False
        return bool(targets) and all(target["health"] == "up" for target in targets)


@asynccontextmanager
async def watching(target: str, directory: Path) -> AsyncIterator[Prometheus]:
    """One that has found `target`, `host:port`; its files are in `directory`."""
    tool = ROOT / "build/prometheus"
    found = str(tool) if tool.exists() else shutil.which("prometheus")
    if found is None:
        raise AssertionError(f"{tool} is missing: run `make test`, which fetches it")
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(ROOT / "docs" / "alerts.yml")],
        "scrape_configs": [{"job_name": "tandem", "static_configs": [{"targets": [target]}]}],
    }
    file = directory / "prometheus.yml"
    file.write_text(json.dumps(config))  # which is YAML
    place = f"127.0.0.1:{free_tcp_port()}"
    command = [
        found,
        f"--config.file={file}",
        f"--storage.tsdb.path={directory / 'series'}",
        f"--web.listen-address={place}",
        "--log.level=error",
    ]
    async with child(command, stdout=DEVNULL):
        prometheus = Prometheus(f"http://{place}")
        with trio.fail_after(READY_WITHIN):
            while not await prometheus.is_ready():
                await trio.sleep(0.2)
        yield prometheus
