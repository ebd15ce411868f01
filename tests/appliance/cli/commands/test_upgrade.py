"""`tandem upgrade`, with an appliance that is made up."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import trio
from click.testing import CliRunner

from appliance.cli.commands import upgrade
from appliance.cli.failure import Failed
from appliance.cli.main import main
from ipc.messages import Message
from ipc.messages.admin import (
    Failure,
    ReloadReply,
    ReloadRequest,
    StatusReply,
    StatusRequest,
    UpgradeReply,
    UpgradeRequest,
    WorkerStatus,
)
from ipc.rpc import RpcServer
from tests.support.appliance import TREE
from tests.support.child import child
from tests.support.quiet_log import LogLines
from tests.support.short_path import short_directory

directory = short_directory


def status(version: str, *releases: str, uptime: float = 0.0) -> StatusReply:
    rows = [
        WorkerStatus(f"relay-{n}", "ready", 5, None, 0, 1.0, 0, release=each)
        for n, each in enumerate(releases)
    ]
    return StatusReply(version, 1, "ready", uptime, "", (), (), tuple(rows))


class Host:
    """Answers like a supervisor of version 1, and of version 2 once it was told to upgrade."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, found: UpgradeReply) -> None:
        self.found = found
        self.rolled = ReloadReply(replaced=("relay-0",))
        self.now = status("1", "1", uptime=1e6)
        self.after = status("2", "2")
        self.asked: list[Message] = []
        self._silence = 2
        monkeypatch.setattr(upgrade, "ask", self.ask)
        monkeypatch.setattr(upgrade, "LOOK", 0.001)

    def ask(self, socket: Path, question: Message, expected: object, within: float = 1) -> Message:
        self.asked.append(question)
        match question:
            case StatusRequest():
                if self.now.version == "2" and self._silence:
                    self._silence -= 1
                    raise Failed(["nobody answers"], 69)
                return self.now
            case UpgradeRequest():
                self.now = status("2", "1") if self.found.leaving else self.now
                return self.found
            case _:
                self.now = self.now if self.rolled.given_up else self.after
                return self.rolled


def run(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(main, ["upgrade", *arguments, "--runtime-directory", "/x"])
    return done.exit_code, done.stdout, done.stderr


def test_the_supervisor_first_and_then_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    Host(monkeypatch, UpgradeReply("1", "2", leaving=True))
    code, said, progress = run()
    assert (code, said) == (0, "replaced: relay-0\ntandem 2 runs\n")
    assert progress.startswith("1 -> 2\nthe supervisor runs 2; workers: relay-0\n")


def test_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    Host(monkeypatch, UpgradeReply("1", "2", leaving=True))
    code, said, progress = run("--json")
    found = json.loads(said)
    assert (code, progress) == (0, "")
    assert (found["from"], found["to"], found["replaced"]) == ("1", "2", ["relay-0"])
    assert (found["given_up"], found["finishing"]) == ("", {})


def test_what_is_installed_cannot_run(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch, UpgradeReply("1", "2", problems=("it does not start: boom",)))
    assert run() == (1, "", "it does not start: boom\nnothing was changed; 1 goes on\n")
    assert len(host.asked) == 2


def test_nothing_newer_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch, UpgradeReply("1", "1"))
    assert run() == (0, "tandem 1 runs already\n", "")
    assert [type(question) for question in host.asked] == [
        StatusRequest,
        UpgradeRequest,
        StatusRequest,
    ]


def test_an_upgrade_that_stopped_half_way_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch, UpgradeReply("2", "2"))
    host.now, host._silence = status("2", "1", uptime=1e6), 0
    code, said, _ = run()
    assert (code, said) == (0, "replaced: relay-0\ntandem 2 runs\n")


def test_a_canary_that_does_not_come_up(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch, UpgradeReply("1", "2", leaving=True))
    host.rolled = ReloadReply(given_up="transceiver-2 did not start; all else is as it was")
    code, said, complaint = run()
    assert (code, said) == (1, "")
    assert "given up: transceiver-2 did not start" in complaint


def test_a_supervisor_that_does_not_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch, UpgradeReply("1", "2", leaving=True))
    host._silence = 10**9
    monkeypatch.setattr(upgrade, "BACK_WITHIN", 0.05)
    code, said, complaint = run()
    assert (code, said) == (1, "")
    assert "its workers serve on" in complaint


async def test_who_interrupts_it_does_not_wait_for_the_roll(directory: Path) -> None:
    """The roll goes on without him, as after any `tandem reload`; it may take ten minutes."""
    rolls, looks = False, 0

    async def answer(request: Message) -> Message:
        nonlocal rolls, looks
        match request:
            case StatusRequest():
                looks += rolls
                # One that is not answered costs a look, and no more.
                return Failure("busy") if looks == 1 else status("2", "1")
            case UpgradeRequest():
                return UpgradeReply("2", "2")
            case ReloadRequest():
                rolls = True
                await trio.sleep_forever()
            case _:
                pass
        raise AssertionError(request)

    lines = LogLines()
    command = [sys.executable, "-m", "appliance.cli.main", "upgrade"]
    command += ["--runtime-directory", str(directory)]
    pipe = subprocess.DEVNULL
    with RpcServer(f"ipc://{directory}/admin.sock", log=lines.log) as server, trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.serve, answer)
            async with child(command, cwd=TREE, stdout=pipe, stderr=pipe) as process:
                while looks < 3:
                    await trio.sleep(0.01)
                process.send_signal(signal.SIGINT)
                assert await process.wait() == 1
            nursery.cancel_scope.cancel()
    lines.close()
