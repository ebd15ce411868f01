"""The operator's commands against a real appliance with live calls: look, follow, end, survive."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from click.testing import CliRunner

from appliance.cli.main import main
from ipc.zmq_trio import make_key_pair
from tests.support.appliance import TREE, Appliance, free_udp_port, running_appliance
from tests.support.child import child
from tests.support.live_calls import live_calls

pytestmark = pytest.mark.process
"""Seconds of calls that the tests end themselves."""


async def tandem(appliance: Appliance, *arguments: str) -> tuple[int, str, str]:
    """The command in a thread of ours: a process of its own each time would take most of the time."""
    there = ("--runtime-directory", str(appliance.directory))
    done = await trio.to_thread.run_sync(CliRunner().invoke, main, [*arguments, *there])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    return done.exit_code, done.stdout, done.stderr


async def fields(appliance: Appliance, *arguments: str, code: int = 0) -> dict[str, Any]:
    ended, output, errors = await tandem(appliance, *arguments, "--json")
    assert ended == code, errors
    found = json.loads(output)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("code", ["native", "python"])
async def test_a_call_is_found_from_every_side_and_ended(tmp_path: Path, code: str) -> None:
    overrides = {
        "relay": {"workers": 2, "datapath": code},
        "transceiver": {"workers": 2, "media": code},
    }
    async with (
        running_appliance(tmp_path, overrides) as appliance,
        live_calls(appliance, options=["--data"]) as calls,
    ):
        listed = await fields(appliance, "sessions", "list")
        assert listed["total"] == 3
        one = listed["rows"][0]["session"]

        detail = await fields(appliance, "sessions", "show", one)
        assert detail["backend"] == "echo"
        assert detail["dtls"].startswith("DTLS 1.2 passive, AEAD")
        (path,) = [path for path in detail["paths"] if path["selected"]]
        assert path["worker"].startswith("relay-")
        assert [channel["label"] for channel in detail["channels"]]
        client = path["path"].partition(">")[0]

        flows = await fields(appliance, "flows")
        assert flows["total"] >= 3
        (flow,) = [row for row in flows["rows"] if row["client"] == client]
        assert (flow["worker"], flow["label"]) == (path["worker"], path["label"])
        of_one = await fields(appliance, "flows", "--worker", path["worker"])
        assert {row["worker"] for row in of_one["rows"]} == {path["worker"]}

        for what in (one, detail["ufrags"][0], f"{detail['ufrags'][0]}:theirs", client):
            traced = await fields(appliance, "trace", what)
            assert traced["verdict"] == "live"
            assert traced["session"]["summary"]["session"] == one
            assert traced["route"] == flow["route"]
            assert [row["client"] for row in traced["flows"]] == [client]
        ufrag = detail["ufrags"][0]
        for what, verdict in (
            ("z" + ufrag[1:], "unknown_key"),
            (ufrag[:-1] + ("1" if ufrag[-1] != "1" else "2"), "forged"),
            ("192.0.2.1:5", "no_flow"),
        ):
            assert (await fields(appliance, "trace", what, code=1))["verdict"] == verdict

        ended, said, _ = await tandem(appliance, "sessions", "close", one, "--reason", "enough")
        assert (ended, said) == (0, f"{one}: closed\n")
        for verb in ("show", "close"):
            ended, said, errors = await tandem(appliance, "sessions", verb, one)
            assert (ended, said) == (1, "")
            assert "it is over: hangup" in errors
        assert (await fields(appliance, "trace", one, code=1))["verdict"] == "ended"
        assert (await fields(appliance, "sessions"))["total"] == 2
        for row in listed["rows"][1:]:
            await tandem(appliance, "sessions", "close", row["session"])
    assert calls.report["sessions_failed"] == 3


async def test_processes_and_why_they_ended(tmp_path: Path) -> None:
    async with running_appliance(tmp_path) as appliance:
        before = (await appliance.worker("transceiver-0")).pid
        os.kill(before, signal.SIGKILL)
        await appliance.until(
            lambda status: any(
                worker.name == "transceiver-0" and worker.pid not in (0, before)
                for worker in status.workers
                if worker.state == "ready"
            )
        )
        found = await fields(appliance, "workers")
        row = next(w for w in found["workers"] if w["name"] == "transceiver-0")
        assert (row["restarts"], row["last_exit"]) == (1, "killed by signal 9")
        assert row["generation"] > 0
        code, text, _ = await tandem(appliance, "workers")
        assert code == 0
        assert "killed by signal 9" in text


async def test_what_makes_no_sense_is_wrong_usage(tmp_path: Path) -> None:
    async with running_appliance(tmp_path) as appliance:
        code, _, errors = await tandem(appliance, "trace", "what is this")
        assert code == 2
        assert "is no ufrag" in errors
        code, _, errors = await tandem(appliance, "flows", "--worker", "relay-9")
        assert code == 2
        assert "no relay 'relay-9' serves; there are: relay-0" in errors


async def test_the_shell_completes_workers_and_sessions(tmp_path: Path) -> None:
    async def complete(appliance: Appliance, *words: str) -> list[str]:
        given = ["tandem", *words[:1], "--runtime-directory", str(appliance.directory), *words[1:]]
        environment = {
            **os.environ,
            "_TANDEM_COMPLETE": "bash_complete",
            "COMP_WORDS": " ".join(given),
            "COMP_CWORD": str(len(given) - 1),
        }
        command = [sys.executable, "-m", "appliance.cli.main"]
        done = await trio.run_process(
            command, capture_stdout=True, check=False, cwd=TREE, env=environment
        )
        return [line.partition(",")[2] for line in done.stdout.decode().split()]

    async with (
        running_appliance(tmp_path) as appliance,
        live_calls(appliance, count=1),
    ):
        assert await complete(appliance, "flows", "--worker", "rel") == ["relay-0"]
        (row,) = (await appliance.sessions()).rows
        assert await complete(appliance, "trace", "rtc_") == [row.session]
        await tandem(appliance, "sessions", "close", row.session)
    assert await complete(appliance, "trace", "rtc_") == []


async def test_events_are_followed_as_they_happen_and_across_a_restart(tmp_path: Path) -> None:
    async with running_appliance(tmp_path) as appliance:
        before = [e["what"] for e in await events_of(appliance) if e["kind"] == "appliance"]
        assert before[-1] == "ready"
        command = [sys.executable, "-m", "appliance.cli.main", "events", "--follow", "--json"]
        command += ["-n", "0", "--runtime-directory", str(appliance.directory)]
        async with child(command, stdout=subprocess.PIPE, cwd=TREE) as process:
            assert process.stdout is not None
            lines = Lines(process.stdout)
            # It follows from when it has asked: so something happens until it is heard of.
            async with trio.open_nursery() as nursery:
                nursery.start_soon(keep_reloading, appliance)
                assert (await lines.until(lambda e: e["kind"] == "reload"))["what"] == "done"
                nursery.cancel_scope.cancel()
            async with live_calls(appliance, 3.0, count=1):
                (row,) = (await appliance.sessions()).rows
            for what in ("created", "connected", "closed"):
                event = await lines.until(partial(is_about, what))
                assert (event["session"], event["worker"]) == (row.session, "transceiver-0")
            assert event["detail"].startswith("hangup")
            os.kill((await appliance.worker("transceiver-0")).pid, signal.SIGKILL)
            event = await lines.until(lambda e: e["what"] == "back-off")
            assert (event["worker"], event["detail"]) == ("transceiver-0", "killed by signal 9")


def is_about(what: str, event: dict[str, Any]) -> bool:
    return bool(event["what"] == what)


async def keep_reloading(appliance: Appliance) -> None:
    while True:
        await tandem(appliance, "reload")


async def events_of(appliance: Appliance) -> list[dict[str, Any]]:
    code, output, errors = await tandem(appliance, "events", "--json")
    assert code == 0, errors
    return [json.loads(line) for line in output.splitlines()]


class Lines:
    """JSON lines of a program that goes on."""

    def __init__(self, stream: trio.abc.ReceiveStream) -> None:
        self._stream = stream
        self._rest = b""

    async def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The next that is wanted."""
        with trio.fail_after(60):
            while True:
                line, newline, rest = self._rest.partition(b"\n")
                if not newline:
                    self._rest += await self._stream.receive_some()
                    continue
                self._rest = rest
                found: dict[str, Any] = json.loads(line)
                if wanted(found):
                    return found


async def test_top_without_a_terminal_and_as_a_picture(tmp_path: Path) -> None:
    async with (
        running_appliance(tmp_path) as appliance,
        live_calls(appliance, count=2) as calls,
    ):
        code, text, errors = await tandem(appliance, "top")
        assert code == 0, errors
        assert "transceiver-0" in text
        code, output, _ = await tandem(appliance, "top", "--json", "--seconds", "4")
        frames = [json.loads(line) for line in output.splitlines()]
        assert code == 0
        assert len(frames) >= 2
        assert frames[-1]["totals"]["sessions"] == 2
        assert frames[-1]["totals"]["packets_in"] > 20
        assert frames[-1]["totals"]["loss_percent"] is not None
        picture = tmp_path / "top.svg"
        code, _, errors = await tandem(appliance, "top", "--svg", str(picture))
        assert code == 0, errors
        assert picture.read_text().startswith("<svg")
        assert "url(" not in picture.read_text().replace("url(#", "")
        for row in (await appliance.sessions()).rows:
            await tandem(appliance, "sessions", "close", row.session)
    assert calls.report["sessions_failed"] == 2


@pytest.mark.parametrize("key", [b"q", b"\x03"])
async def test_top_on_a_terminal_ends_with_a_key(tmp_path: Path, key: bytes) -> None:
    async with running_appliance(tmp_path) as appliance:
        command = [sys.executable, "-m", "appliance.cli.main", "top"]
        command += ["--runtime-directory", str(appliance.directory)]
        shown, code = await trio.to_thread.run_sync(on_terminal, command, key)
    assert b"relay-0" in shown
    assert b"packets in" in shown
    assert code == 0


def on_terminal(command: list[str], key: bytes) -> tuple[bytes, int]:
    """Run it on a terminal of 80x24; press the key when it shows workers. What it wrote, and its end."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    process = subprocess.Popen(
        command,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=TREE,
        start_new_session=True,
        preexec_fn=partial(fcntl.ioctl, theirs, termios.TIOCSCTTY, 0),
        env={**os.environ, "TERM": "xterm-256color"},
    )
    os.close(theirs)
    shown, pressed = b"", False
    until = time.monotonic() + 60
    try:
        while process.poll() is None and time.monotonic() < until:
            if select.select([ours], [], [], 0.2)[0]:
                try:
                    shown += os.read(ours, 65536)
                except OSError:  # its end is closed
                    break
            if not pressed and b"q quits" in shown:
                os.write(ours, key)
                pressed = True
        return shown, process.wait(60)
    finally:
        process.kill()
        os.close(ours)


async def test_the_log_is_found_wherever_it_goes(tmp_path: Path) -> None:
    async with running_appliance(tmp_path) as appliance:
        code, text, errors = await tandem(appliance, "logs", "-n", "400")
        assert code == 0, errors
        assert "serving" in text
        code, text, _ = await tandem(appliance, "logs", "--worker", "relay-0", "--json")
        found = [json.loads(line) for line in text.splitlines()]
        assert {"ready", "worker"} <= {line["event"] for line in found}
        assert all("relay-0" in (x["worker"], x["fields"].get("of")) for x in found)
        code, text, _ = await tandem(appliance, "logs", "--level", "error")
        assert (code, text) == (0, "")
    code, _, errors = await tandem(appliance, "logs")
    assert code == 69
    assert "no appliance answers" in errors


async def test_a_doctor_comes_to_the_living_and_to_the_dead(tmp_path: Path) -> None:
    async with running_appliance(tmp_path) as appliance:
        config = str(appliance.directory / "tandem.toml")
        found = await fields(appliance, "doctor", "-c", config)
        levels = {finding["check"]: finding["level"] for finding in found["findings"]}
        assert found["running"]
        for check in ("service.workers", "ports.udp", "ports.http", "files.ufrag_keys"):
            assert levels[check] == "ok", found
        (appliance.directory / "state").chmod(0o755)
        found = await fields(appliance, "doctor", "-c", config, code=1)
        assert [f["check"] for f in found["findings"] if f["level"] == "fail"] == ["files.state"]
        (appliance.directory / "state").chmod(0o700)
        await appliance.end()
        found = await fields(appliance, "doctor", "-c", config)
        assert not found["running"]
        code, text, _ = await tandem(appliance, "doctor", "-c", config)
        assert code == 0
        assert "no appliance answers" in text


async def test_the_hosts_key_is_rotated_under_live_calls_and_the_old_one_dropped(
    tmp_path: Path,
) -> None:
    overrides: dict[str, dict[str, Any]] = {
        "relay": {"workers": 2},
        "supervisor": {"roll_timeout": 3600.0},
    }
    async with running_appliance(tmp_path, overrides) as appliance:
        (only,) = (await fields(appliance, "keys", "list"))["keys"]
        assert (only["id"], only["mints"]) == ("0", True)
        assert only["minted_by"] == ["transceiver-0"]
        secret = (appliance.directory / "state/ufrag.key").read_text().strip()
        assert secret not in json.dumps(only)
        async with live_calls(appliance, count=2):
            old = [row.session for row in (await appliance.sessions()).rows]
            found = await fields(appliance, "keys", "rotate")
            rows = {key["id"]: key for key in found["keys"]}
            assert rows.keys() == {"0", "1"}
            assert rows["1"]["mints"]
            assert not rows["0"]["mints"]
            assert (appliance.directory / "state/ufrag.key.1").exists()
            # Calls of the old key live on, and relays that have been replaced know where they go.
            for session in old:
                traced = await fields(appliance, "trace", session)
                assert traced["verdict"] == "live"
            async with live_calls(appliance, 3.0, count=3):
                new = {row.session for row in (await appliance.sessions()).rows} - set(old)
                assert {session.split("_")[2][0] for session in new} == {"1"}
            code, _, errors = await tandem(appliance, "keys", "rotate", "--drop", "0")
            assert code == 1
            assert "still has sessions of key 0" in errors
            for session in old:
                await tandem(appliance, "sessions", "close", session)
        code, _, errors = await tandem(appliance, "keys", "rotate", "--drop", "1")
        assert code == 1
        assert "mints now" in errors
        await appliance.until(lambda status: len(status.workers) == 4)
        found = await fields(appliance, "keys", "rotate", "--drop", "0")
        assert [key["id"] for key in found["keys"]] == ["1"]
        assert not (appliance.directory / "state/ufrag.key").exists()
        # It is forgotten: what it has sealed is nobody's any more.
        assert (await fields(appliance, "trace", old[0], code=1))["verdict"] == "unknown_key"


async def test_operators_on_other_hosts_come_in_with_a_key(tmp_path: Path) -> None:
    async def run(*arguments: str) -> tuple[int, str, str]:
        done = await trio.to_thread.run_sync(CliRunner().invoke, main, [*arguments])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
        return done.exit_code, done.stdout, done.stderr

    alice, mallory, server = (str(tmp_path / name) for name in ("alice", "mallory", "server"))
    code, public, _ = await run("keys", "curve", alice)
    assert code == 0
    assert (await run("keys", "curve", alice))[1] == public
    await run("keys", "curve", mallory)
    where = f"127.0.0.1:{free_udp_port()}"
    admin = {"listen": [where], "clients": {"alice": public.strip()}}
    async with running_appliance(tmp_path, {"admin": admin}) as appliance:
        config = str(appliance.directory / "tandem.toml")
        code, key, _ = await run("keys", "curve", "--server", "-c", config)
        Path(server).write_text(key)
        there = ["--connect", f"tcp://{where}", "--server-key", server]
        code, output, errors = await run("status", "--json", *there, "--client-key", alice)
        assert code == 0, errors
        assert json.loads(output)["pid"] == appliance.pid
        async with live_calls(appliance, count=1):
            (row,) = (await appliance.sessions()).rows
            close = ["sessions", "close", row.session, *there, "--client-key", alice]
            assert (await run(*close))[0] == 0
        code, _, errors = await run("status", *there, "--client-key", mallory)
        assert code == 69
        assert "does not let us in" in errors
        assert (await run("status", "--connect", f"tcp://{where}"))[0] == 2
        assert (await run("status", "--connect", "udp://x", "--server-key", server))[0] == 2
        code, _, errors = await run("status", *there, "--client-key", str(tmp_path / "none"))
        assert code == 78
        assert "tandem keys curve" in errors
        assert (await run("logs", *there, "--client-key", alice))[0] == 2
        # Nobody is known any more, from the next connection on.
        text = (appliance.directory / "tandem.toml").read_text()
        other = make_key_pair().public
        (appliance.directory / "tandem.toml").write_text(text.replace(public.strip(), other))
        assert (await tandem(appliance, "reload"))[0] == 0
        assert (await run("status", *there, "--client-key", alice))[0] == 69
    code, _, errors = await run("status", *there, "--client-key", alice)
    assert code == 69
    assert "no appliance answers" in errors


async def test_a_call_over_tcp_is_found_too(tmp_path: Path) -> None:
    async with (
        running_appliance(tmp_path) as appliance,
        live_calls(appliance, count=1, options=["--tcp"]),
    ):
        (row,) = (await fields(appliance, "flows"))["rows"]
        assert row["transport"] == "tcp"
        (session,) = (await appliance.sessions()).rows
        for what in (row["client"], session.session):
            traced = await fields(appliance, "trace", what)
            assert traced["session"]["summary"]["session"] == session.session
            assert [flow["client"] for flow in traced["flows"]] == [row["client"]]
        await tandem(appliance, "sessions", "close", session.session)
