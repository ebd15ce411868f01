"""A day in the life of the service, under a real systemd, with the package installed: the tests build on
each other."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.systemd.conftest import build
from tests.systemd.machine import WITHIN, Machine, kill

CALLS = "http://127.0.0.1:8080/v1/realtime/calls"
MANY = 10
"""Live calls."""
CALLS_AT_ONCE = 3
LONG = ("--seconds", "600", "--json")
"""Until somebody hangs up."""
RELOADED = "configuration reloaded"
CONFIG = "/etc/tandem/tandem.toml"


def status(machine: Machine) -> Any:
    """`tandem status`, from one that answers."""
    return machine.json("tandem", "status", "--json")


def ready(machine: Machine) -> Any:
    """The status of an appliance whose workers all serve; None if they do not, or nobody answers."""
    answer = machine.run("tandem", "status", "--json", check=False)
    if answer.returncode:
        return None
    found = json.loads(answer.stdout)
    return found if found["state"] == "ready" else None


def call(machine: Machine, *transport: str, count: int = 3) -> None:
    """Calls that must all work."""
    options = ("--count", str(count), "--seconds", "1", "--json")
    report = machine.json("tandem", "call", CALLS, *options, *transport)
    assert report["sessions_ok"] == count, report
    assert report["packets_lost"] == 0, report


@contextmanager
def live_calls(
    machine: Machine, *, must_end_well: bool = True
) -> Iterator[tuple[dict[str, Any], dict[str, int]]]:
    """Calls that last as long as the block: their report when it is over, and who serves them."""
    command = ("tandem", "call", CALLS, *LONG, "--count", str(CALLS_AT_ONCE))
    report: dict[str, Any] = {}
    with machine.running(*command) as calls:

        def connected() -> bool:
            rows = machine.json("tandem", "sessions", "--json")["rows"]
            return [row["state"] for row in rows] == ["connected"] * CALLS_AT_ONCE

        machine.until(connected, "calls")
        yield report, {w["name"]: w["pid"] for w in status(machine)["workers"]}
        time.sleep(2)  # what has gone wrong is heard
        (output,) = hang_up(machine, calls)
        if must_end_well:
            report |= json.loads(output)


def hang_up(machine: Machine, *calls: subprocess.Popen[str]) -> list[str]:
    """End all calls that are made in there; what each `tandem call` of these says of its own."""
    machine.run("pkill", "-INT", "-f", "workers.caller", check=False)
    return [each.communicate(timeout=WITHIN)[0] for each in calls]


def adopted(machine: Machine, workers: dict[str, int], by_another_than: int) -> None:
    """Wait for a supervisor that has these very workers."""

    def has_them() -> bool:
        found = ready(machine)
        if found is None or found["pid"] == by_another_than:
            return False
        return workers.items() <= {w["name"]: w["pid"] for w in found["workers"]}.items()

    machine.until(has_them, "adopted")


def errors(machine: Machine) -> str:
    """What the unit has logged that is an error to the journal, too."""
    return machine.read("journalctl", "-q", "--no-pager", "-p", "err", "-u", "tandem")


def configure(machine: Machine, text: str) -> None:
    """Write the configuration file, with the owner and mode that it has."""
    (machine.root / CONFIG.lstrip("/")).write_text(text)


def test_it_serves_as_a_user_of_its_own(machine: Machine) -> None:
    assert machine.show("tandem", "ActiveState") == "active"
    machine.until(lambda: ready(machine), "ready")
    assert len(machine.processes("tandem")) >= 4
    call(machine)


def test_systemd_has_nothing_to_complain_about(machine: Machine) -> None:
    verified = machine.run("systemd-analyze", "verify", "tandem.service", check=False)
    assert (verified.stdout, verified.stderr) == ("", "")
    # The threshold is in tenths: an exposure of 1.5.
    machine.run("systemd-analyze", "security", "--offline=true", "--threshold=15", "tandem.service")


def test_the_journal_has_no_traceback_and_names_every_worker(machine: Machine) -> None:
    journal = machine.journal()
    assert "Traceback" not in journal
    for worker in status(machine)["workers"]:
        assert worker["name"] in journal


def test_logs_come_from_the_journal_and_can_be_chosen_among(machine: Machine) -> None:
    shown = machine.read("tandem", "logs", "-n", "500")
    assert "serving" in shown
    lines = machine.read("tandem", "logs", "--worker", "relay-0", "--json").splitlines()
    found = [json.loads(line) for line in lines]
    assert {"ready", "worker"} <= {line["event"] for line in found}
    assert all("relay-0" in (line["worker"], line["fields"].get("of")) for line in found)
    assert all(line["at"] > 1.7e9 for line in found)


def test_entries_of_the_journal_have_priorities_and_fields(machine: Machine) -> None:
    unit = ("journalctl", "-q", "--no-pager", "-o", "cat", "-u", "tandem")
    ours = machine.read(*unit, "TANDEM_WORKER=relay-0").splitlines()
    assert "ready" in {json.loads(line)["event"] for line in ours}
    assert {json.loads(line)["worker"] for line in ours} == {"relay-0"}
    assert "ready" not in errors(machine)


def test_what_became_of_a_call_is_found_by_its_session(machine: Machine) -> None:
    call(machine, count=1)
    told = ("journalctl", "-q", "--no-pager", "-o", "cat", "TANDEM_EVENT=session ended")
    ended = json.loads(machine.read(*told).splitlines()[-1])
    of_it = machine.read("journalctl", "-q", "-o", "cat", f"TANDEM_SESSION={ended['session']}")
    lines = machine.read("tandem", "logs", "--session", ended["session"], "--json").splitlines()
    for events in (
        [json.loads(line)["event"] for line in of_it.splitlines()],
        [json.loads(line)["event"] for line in lines],
    ):
        assert events == ["session connected", "session ended"]
    assert (ended["connected"], ended["lost_in"]) == (True, 0)
    assert ended["packets_in"] > 0


def test_a_doctor_finds_nothing_that_does_not_work(machine: Machine) -> None:
    report = machine.json("tandem", "doctor", "--json")
    assert report["running"]
    assert not [finding for finding in report["findings"] if finding["level"] == "fail"]


def test_manual_and_completion_are_there(machine: Machine) -> None:
    assert "tandem.toml" in machine.read("gzip", "-dc", "/usr/share/man/man1/tandem.1.gz")
    completed = machine.read(
        "bash", "-c", "source /usr/share/bash-completion/completions/tandem && complete -p tandem"
    )
    assert "tandem" in completed


def test_configuration_is_not_for_everybody(machine: Machine) -> None:
    assert machine.read("stat", "-c", "%a %U %G", CONFIG) == "640 root tandem"
    assert machine.read("stat", "-c", "%a %U", "/var/lib/tandem") == "700 tandem"


def test_media_on_a_privileged_port(machine: Machine) -> None:
    """By the sysctl that the doctor names; without it the start fails and the log says the same."""
    configure(machine, "[relay]\nlisten = ['127.0.0.1:443']\n")
    machine.run("systemctl", "stop", "tandem")
    assert machine.run("systemctl", "start", "tandem", check=False).returncode != 0
    assert machine.show("tandem", "ExecMainStatus") == "78"
    assert "sysctl -w net.ipv4.ip_unprivileged_port_start=443" in errors(machine)
    told = machine.run("tandem", "doctor", "--json", check=False).stdout
    privileged = [f for f in json.loads(told)["findings"] if f["check"] == "ports.privileged"]
    assert "net.ipv4.ip_unprivileged_port_start=443" in privileged[0]["advice"]

    examples = "/usr/share/doc/tandem/examples"
    machine.run("sysctl", "-p", f"{examples}/61-tandem-ports.conf")
    machine.run("systemctl", "start", "tandem")
    machine.until(lambda: ready(machine), "ready")
    assert status(machine)["advertise_tcp"] == ["127.0.0.1:443"]
    call(machine)
    call(machine, "--tcp")
    machine.run("sysctl", "-w", "net.ipv4.ip_unprivileged_port_start=1024")

    drop_in = "/run/systemd/system/tandem.service.d"
    machine.run("install", "-Dt", drop_in, f"{examples}/privileged-ports.conf")
    restart(machine)
    call(machine, "--tcp")
    machine.run("rm", "-r", drop_in)
    configure(machine, "")
    restart(machine)


def test_reload_takes_a_live_change(machine: Machine) -> None:
    configure(machine, "[transceiver]\nmax_sessions = 7\n")
    machine.run("systemctl", "reload", "tandem")
    assert machine.show("tandem", "ActiveState") == "active"
    call(machine)


def test_a_hang_up_signal_is_a_reload(machine: Machine) -> None:
    """As systemd sends it where it knows Type=notify-reload, which the package says there."""
    newer = int(machine.read("systemctl", "--version").split()[1]) >= 253
    assert machine.show("tandem", "Type") == ("notify-reload" if newer else "notify")
    configure(machine, "[transceiver]\nmax_sessions = 8\n")
    before, reloads = machine.show("tandem", "MainPID"), machine.journal().count(RELOADED)
    kill(machine, int(before), signal.SIGHUP)
    machine.until(lambda: machine.journal().count(RELOADED) > reloads, "a reload")
    assert machine.run("tandem", "config", "diff", check=False).returncode == 0
    machine.until(lambda: machine.show("tandem", "SubState") == "running", "the end of the reload")
    assert machine.show("tandem", "MainPID") == before
    configure(machine, "")
    machine.run("systemctl", "reload", "tandem")
    assert machine.show("tandem", "SubState") == "running"


def test_reload_of_a_bad_file_changes_nothing_and_says_why(machine: Machine) -> None:
    before = machine.show("tandem", "MainPID")
    configure(machine, "[relay]\nwrokers = 1\n")
    reloaded = machine.run("systemctl", "reload", "tandem", check=False)
    assert reloaded.returncode != 0
    assert "wrokers" in machine.journal()
    assert machine.show("tandem", "MainPID") == before
    call(machine)
    configure(machine, "")
    machine.run("systemctl", "reload", "tandem")


@pytest.mark.parametrize("role", ["relay", "transceiver", "signaling", "telemetry"])
def test_a_killed_worker_is_replaced(machine: Machine, role: str) -> None:
    victim = next(w for w in status(machine)["workers"] if w["name"].startswith(role))
    kill(machine, victim["pid"])

    def replaced() -> bool:
        found = ready(machine)
        pids = [] if found is None else [w["pid"] for w in found["workers"]]
        return bool(pids) and victim["pid"] not in pids

    machine.until(replaced, f"{role} replaced")
    call(machine)


def test_a_killed_spare_is_replaced(machine: Machine) -> None:
    """It is what the next death of a worker of its role needs."""

    def waiting() -> dict[str, int]:
        return {s["role"]: s["pid"] for s in status(machine)["spares"] if s["waiting"]}

    role, victim = next(iter(machine.until(waiting, "a spare").items()))
    kill(machine, victim)
    machine.until(lambda: waiting().get(role, victim) != victim, f"another spare {role}")
    call(machine)


def test_a_killed_supervisor_is_replaced_and_calls_notice_nothing(machine: Machine) -> None:
    with live_calls(machine) as (calls, workers):
        for _ in range(2):
            supervisor = int(machine.show("tandem", "MainPID"))
            kill(machine, supervisor)
            adopted(machine, workers, supervisor)
    assert (calls["sessions_ok"], calls["packets_lost"]) == (CALLS_AT_ONCE, 0), calls
    call(machine)


def test_a_hung_supervisor_is_replaced_and_calls_notice_nothing(machine: Machine) -> None:
    drop_in = machine.root / "run/systemd/system/tandem.service.d"
    drop_in.mkdir(parents=True)
    (drop_in / "watchdog.conf").write_text("[Service]\nWatchdogSec=2\nTimeoutAbortSec=1\n")
    restart(machine)
    try:
        with live_calls(machine) as (calls, workers):
            supervisor = int(machine.show("tandem", "MainPID"))
            kill(machine, supervisor, signal.SIGSTOP)
            adopted(machine, workers, supervisor)
        assert "atchdog" in machine.journal()
        assert (calls["sessions_ok"], calls["packets_lost"]) == (CALLS_AT_ONCE, 0), calls
    finally:  # two seconds are few for a busy machine: nobody else shall be held to them
        shutil.rmtree(drop_in)
        restart(machine)


def restart(machine: Machine) -> None:
    """With units as they are now."""
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "tandem")
    machine.until(lambda: ready(machine), "ready")


def test_who_dies_with_the_supervisor_leaves_its_sockets_in_the_store(machine: Machine) -> None:
    """Datagrams that come meanwhile wait in the kernel, as many as it grants room for."""
    with live_calls(machine) as (calls, workers):
        supervisor = int(machine.show("tandem", "MainPID"))
        machine.run("kill", "-9", str(supervisor), str(workers["relay-0"]))
        others = {name: pid for name, pid in workers.items() if name != "relay-0"}
        adopted(machine, others, supervisor)
    assert calls["sessions_ok"] == CALLS_AT_ONCE, calls


def test_everybody_dies_and_the_port_is_never_closed(machine: Machine) -> None:
    workers = [str(worker["pid"]) for worker in status(machine)["workers"]]
    before = machine.show("tandem", "NFileDescriptorStore")
    assert int(before) >= 3
    machine.run("kill", "-9", machine.show("tandem", "MainPID"), *workers)
    machine.until(lambda: ready(machine), "ready again")
    assert machine.show("tandem", "NFileDescriptorStore") == before
    call(machine)


def test_a_bad_file_at_a_crash_is_only_reported(machine: Machine) -> None:
    with live_calls(machine) as (calls, workers):
        configure(machine, "[relay]\nwrokers = 1\n")
        supervisor = int(machine.show("tandem", "MainPID"))
        kill(machine, supervisor)
        adopted(machine, workers, supervisor)
        warned = machine.until(lambda: status(machine)["warnings"], "a warning")
        assert any("wrokers" in warning for warning in warned)
        configure(machine, "")
        machine.run("systemctl", "reload", "tandem")
    assert (calls["sessions_ok"], calls["packets_lost"]) == (CALLS_AT_ONCE, 0), calls


def test_a_supervisor_that_is_killed_while_it_stops_leaves_nobody(machine: Machine) -> None:
    with live_calls(machine, must_end_well=False):
        supervisor = int(machine.show("tandem", "MainPID"))
        machine.run("systemctl", "stop", "--no-block", "tandem")
        machine.until(lambda: "draining" in machine.show("tandem", "StatusText"), "draining")
        kill(machine, supervisor)
        machine.until(lambda: machine.show("tandem", "ActiveState") == "failed", "the end")
        assert machine.processes("tandem") == {}
    machine.run("systemctl", "start", "tandem")
    call(machine)


def test_a_start_with_a_bad_file_fails_once_and_says_why(machine: Machine) -> None:
    machine.run("systemctl", "stop", "tandem")
    configure(machine, "[relay]\nwrokers = 1\n")
    assert machine.run("systemctl", "start", "tandem", check=False).returncode != 0
    assert machine.show("tandem", "ExecMainStatus") == "78"
    assert machine.show("tandem", "ActiveState") == "failed"
    assert "wrokers" in errors(machine)
    configure(machine, "")
    machine.run("systemctl", "start", "tandem")
    call(machine)


def test_stop_leaves_no_process_behind(machine: Machine) -> None:
    machine.run("systemctl", "stop", "tandem")
    assert machine.processes("tandem") == {}
    assert not (machine.root / "run/tandem").exists()
    assert "systemctl status tandem" in machine.run("tandem", "status", check=False).stderr
    machine.run("systemctl", "start", "tandem")


def sessions(machine: Machine) -> int:
    """How many are connected."""
    rows = machine.json("tandem", "sessions", "--json")["rows"]
    return sum(row["state"] == "connected" for row in rows)


def test_an_upgrade_is_run_when_the_operator_says_so_and_ends_no_call(
    machine: Machine, tmp_path: Path
) -> None:
    before, old = machine.show("tandem", "MainPID"), status(machine)["version"]
    new = "99.0" if old != "99.0" else "99.1"  # in a second try
    newer = build(tmp_path, version=new)
    with (
        machine.running("tandem", "call", CALLS, *LONG, "--count", str(MANY)) as calls,
        machine.running("tandem", "call", CALLS, *LONG, "--tcp", "--count", "2") as over_tcp,
    ):
        machine.until(lambda: sessions(machine) == MANY + 2, "live calls")
        said = machine.install(newer)
        assert "tandem upgrade" in said
        assert status(machine)["version"] == old
        upgraded = machine.json("tandem", "upgrade", "--json")
        assert (upgraded["from"], upgraded["to"], upgraded["given_up"]) == (old, new, "")
        assert machine.show("tandem", "MainPID") == before
        assert sessions(machine) == MANY + 2
        reports = [json.loads(said) for said in hang_up(machine, calls, over_tcp)]
    for report, count in zip(reports, (MANY, 2), strict=True):
        assert (report["sessions_ok"], report["packets_lost"]) == (count, 0), report
        assert report["tcp_reconnects"] == 0, f"{report}\n{machine.journal()[-20000:]}"
    machine.until(
        lambda: {w["release"] for w in status(machine)["workers"]} == {new}, "all are new"
    )
    assert machine.show("tandem", "ActiveState") == "active"
    call(machine)


def test_purge_leaves_a_clean_system(machine: Machine) -> None:
    machine.run("apt-get", "purge", "-y", "-q", "tandem")
    assert machine.processes("tandem") == {}
    for path in ("opt/tandem", "etc/tandem", "var/lib/tandem", "run/tandem", "usr/bin/tandem"):
        assert not (machine.root / path).exists(), path
    assert machine.show("tandem", "LoadState") == "not-found"
