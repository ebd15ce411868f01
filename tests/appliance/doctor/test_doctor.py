"""What a doctor sees on hosts that are not as they should be: each check can fail."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from msgspec import structs

from appliance.doctor import clock, files, kernel, network, ports, service, software
from appliance.doctor.examination import CHECKS, examine
from appliance.doctor.finding import Finding, Level
from appliance.doctor.host import Host
from config.ids import Endpoint
from config.model import Config
from tests.appliance.cli.test_render import RELAY, STATUS

Change = Callable[..., Host]


@pytest.fixture
def host(tmp_path: Path) -> Change:
    """A host in a folder: sysctls, a card with one queue; configured as said."""

    def make(config: dict[str, object] | None = None, **others: object) -> Host:
        for name, value in (("rmem_max", 8388608), ("wmem_max", 8388608), ("somaxconn", 4096)):
            file = tmp_path / "proc/sys/net/core" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            if not file.exists():
                file.write_text(f"{value}\n")
        host = Host(
            Config.model_validate(config or {}),
            None,
            tmp_path / "run",
            tmp_path / "state",
            proc=tmp_path / "proc",
            sys=tmp_path / "sys",
        )
        return host._replace(**others)  # type: ignore[arg-type]

    return make


def of(findings: Iterable[Finding], check: str) -> Finding:
    (found,) = [finding for finding in findings if finding.check == check]
    return found


def card(host: Host, name: str, queues: int, state: str = "up") -> Path:
    folder = host.sys / "class/net" / name
    (folder / "device").mkdir(parents=True)
    (folder / "operstate").write_text(f"{state}\n")
    for n in range(queues):
        (folder / f"queues/rx-{n}").mkdir(parents=True)
        (folder / f"queues/rx-{n}/rps_cpus").write_text("00000000,00000000\n")
    return folder


def test_small_buffers_are_named_with_the_sysctl_that_mends_it(host: Change) -> None:
    it = host()
    (it.proc / "sys/net/core/rmem_max").write_text("212992\n")
    found = of(kernel.check(it), "kernel.rmem_max")
    assert found.level is Level.WARN
    assert "212992" in found.what
    assert found.advice.startswith("sysctl -w net.core.rmem_max=8388608")
    assert of(kernel.check(it), "kernel.wmem_max").level is Level.OK


def test_what_a_socket_really_gets(host: Change) -> None:
    greedy = host({"relay": {"receive_buffer": 268_435_456}})
    limit = int(Path("/proc/sys/net/core/rmem_max").read_text())
    found = of(kernel.check(greedy), "kernel.buffer")
    enough = limit >= 268_435_456 or os.geteuid() == 0
    assert (found.level is Level.OK) == enough or str(limit) in found.what
    assert of(kernel.check(host({"relay": {"receive_buffer": 65536}})), "kernel.buffer").level is (
        Level.OK
    )


def test_a_short_backlog_and_few_descriptors(host: Change) -> None:
    it = host({"signaling": {"max_connections": 100_000}})
    (it.proc / "sys/net/core/somaxconn").write_text("128\n")
    limits = it.proc / "4242/limits"
    limits.parent.mkdir()
    limits.write_text("Limit  Soft Hard Units\nMax open files            1024   1024   files\n")
    found = list(kernel.check(it._replace(status=STATUS)))
    assert of(found, "kernel.somaxconn").level is Level.WARN
    descriptors = of(found, "kernel.nofile")
    assert descriptors.level is Level.FAIL
    assert "1024" in descriptors.what


def test_datagrams_that_nobody_read_in_time(host: Change) -> None:
    it = host(status=STATUS)
    table = it.proc / "net/udp"
    table.parent.mkdir()
    row = "  1: 0100007F:0D96 00000000:0000 07 0:0 00:0 0 0 0 77 2 ffff 12\n"
    table.write_text("header\n" + row + row.replace("0D96", "0D97"))
    found = of(kernel.check(it), "kernel.dropped")
    assert found.level is Level.WARN
    assert "dropped 12 datagrams" in found.what
    table.write_text("header\n")
    assert of(kernel.check(it), "kernel.dropped").level is Level.OK


def test_ports_that_somebody_else_has(host: Change) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        it = host({"relay": {"listen": ["127.0.0.1:0"]}, "signaling": {"listen": [where]}})
        found = list(ports.check(it))
    assert of(found, "ports.http").level is Level.FAIL
    assert "ss -lunpt" in of(found, "ports.http").advice
    assert of(found, "ports.udp").level is Level.OK


def test_an_appliance_whose_socket_and_page_are_gone(host: Change) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as nobody:
        nobody.bind(("127.0.0.1", 0))
        page = f"http://127.0.0.1:{nobody.getsockname()[1]}/"
        there = structs.replace(
            STATUS, page=page, advertise=(Endpoint("10.0.0.1", 3478), Endpoint("127.0.0.1", 3478))
        )
        found = list(ports.check(host(status=there)))
    assert of(found, "ports.udp").level is Level.FAIL
    assert of(found, "ports.http").level is Level.FAIL
    assert of(found, "ports.advertise").level is Level.WARN
    assert "relay.advertise" in of(found, "ports.advertise").advice


def test_a_page_that_is_no_page_stops_no_other_check(host: Change) -> None:
    with socket.create_server(("127.0.0.1", 0)) as strange:

        def answer() -> None:
            connection, _ = strange.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"220 mail.example ESMTP\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        page = f"http://127.0.0.1:{strange.getsockname()[1]}/"
        found = list(ports.check(host(status=structs.replace(STATUS, page=page))))
        thread.join()
    assert of(found, "ports.http").level is Level.FAIL


def test_rules_that_let_nobody_in() -> None:
    closed = "chain input { type filter hook input priority 0; policy drop;\n %s\n}"
    assert ports.judge_rules(closed % "tcp dport 22 accept", [3478], "x").level is Level.WARN
    assert ports.judge_rules(closed % "udp dport 3478 accept", [3478], "x").level is Level.OK
    assert ports.judge_rules("", [3478], "x").level is Level.OK


@pytest.mark.parametrize(
    ("wall", "steady", "now", "check", "level"),
    [
        (0.2, 0.2, 1.9e9, "clock.steady", Level.OK),
        (5.2, 0.2, 1.9e9, "clock.steady", Level.WARN),
        (0.2, 0.0, 1.9e9, "clock.monotonic", Level.FAIL),
        (0.2, 0.2, 0.0, "clock.wall", Level.FAIL),
    ],
)
def test_clocks(wall: float, steady: float, now: float, check: str, level: Level) -> None:
    found = clock.judge(wall, steady, now)
    assert (found.check, found.level) == (check, level)


def test_fewer_queues_than_relays(host: Change) -> None:
    it = host({"relay": {"workers": 4, "steering": "cpu"}})
    folder = card(it, "eth0", queues=1)
    card(it, "eth1", queues=8)
    card(it, "eth2", queues=1, state="down")
    (it.sys / "class/net/lo").mkdir()
    found = [f for f in network.check(it) if f.check == "network.queues"]
    assert [f.level for f in found] == [Level.WARN, Level.OK]
    assert "ethtool -L eth0 combined 4" in found[0].advice
    assert "hash" in found[0].advice
    (folder / "queues/rx-0/rps_cpus").write_text("f\n")
    found = [f for f in network.check(it) if f.check == "network.queues"]
    assert [f.level for f in found] == [Level.OK, Level.OK]


def test_more_relays_than_cpus_and_a_quota(host: Change) -> None:
    it = host({"relay": {"workers": 200}})
    quota = it.sys / "fs/cgroup/cpu.max"
    quota.parent.mkdir(parents=True)
    quota.write_text("150000 100000\n")
    found = list(network.check(it))
    assert of(found, "cpu.relays").level is Level.WARN
    assert "allows 1.5 CPUs" in of(found, "cpu.quota").what
    quota.write_text("max 100000\n")
    assert of(network.check(it), "cpu.quota").level is Level.OK


def test_a_relay_that_is_not_where_it_should_be(host: Change) -> None:
    row = structs.replace(STATUS.workers[0], pid=os.getpid(), cpu=4095)
    found = of(network.check(host(status=structs.replace(STATUS, workers=(row,)))), "cpu.pinned")
    assert found.level is Level.WARN
    assert "relay-0 on" in found.what


def test_secrets_that_others_can_read(host: Change, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("00" * 16)
    key.chmod(0o644)
    bearer = tmp_path / "bearer"
    bearer.write_text("sk-x")
    bearer.chmod(0o644)
    config = {
        "ufrag": {"keys": {"a": str(key)}},
        "realtime": {"url": "wss://example.com/v1", "api_key_file": str(bearer)},
        "signaling": {"api_keys": str(tmp_path / "none.toml")},
        "auth": {"jwks_file": str(tmp_path / "none"), "issuer": "i", "audience": "a"},
    }
    file = tmp_path / "tandem.toml"
    file.write_text("")
    file.chmod(0o666)
    it = host(config, file=file)
    it.state.mkdir(mode=0o755)
    found = list(files.check(it))
    assert {f.check: f.level for f in found} == {
        "files.config": Level.FAIL,
        "files.runtime": Level.OK,
        "files.state": Level.FAIL,
        "files.ufrag_keys": Level.FAIL,
        "files.api_keys": Level.FAIL,
        "files.key_set": Level.FAIL,
        "files.realtime_key": Level.FAIL,
    }
    assert "chmod 0600" in of(found, "files.ufrag_keys").what


def test_a_host_before_its_first_start_has_no_key_and_gets_none_by_looking(host: Change) -> None:
    it = host()
    it.state.mkdir(mode=0o700)
    assert all(finding.level is Level.OK for finding in files.check(it))
    assert list(it.state.iterdir()) == []


def test_a_runtime_directory_that_everybody_may_write_to(host: Change) -> None:
    it = host()
    it.runtime.mkdir()
    it.runtime.chmod(0o777)
    assert of(files.check(it), "files.runtime").level is Level.FAIL


def test_native_code_and_libraries_are_really_loaded(host: Change) -> None:
    found = {finding.check: finding.level for finding in software.check(host())}
    assert found == {"software.native": Level.OK, "software.opus": Level.OK}


@pytest.mark.parametrize(
    ("answers", "level"), [("ab", Level.OK), ("a", Level.WARN), ("", Level.FAIL)]
)
def test_a_global_relay_whose_cluster_is_silent(host: Change, answers: str, level: Level) -> None:
    seen = {"7": {relay: relay in answers for relay in "ab"}}
    relay = structs.replace(STATUS.workers[0], stats=structs.replace(RELAY, others=seen))
    status = structs.replace(STATUS, workers=(relay,))
    assert of(service.check(host(status=status)), "service.clusters").level is level


def test_an_appliance_that_ails(host: Change) -> None:
    relay = structs.replace(STATUS.workers[0], stats=structs.replace(RELAY, conserved=False))
    ailing = structs.replace(STATUS, workers=(relay, *STATUS.workers[1:]))
    found = list(service.check(host(status=ailing)))
    assert of(found, "service.running").level is Level.OK
    assert "relay-1 is back-off (exit code 70)" in of(found, "service.workers").what
    assert of(found, "service.restarts").level is Level.WARN
    assert of(found, "service.counters").level is Level.FAIL
    assert "receive buffer" in of(found, "service.warning").what
    assert of(service.check(host()), "service.running").level is Level.WARN


def test_a_check_that_breaks_stops_no_other(host: Change, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(_: Host) -> list[Finding]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(clock, "check", breaks)
    report = examine(host())
    assert of(report.findings, "clock.check").level is Level.WARN
    assert {f.check.partition(".")[0] for f in report.findings} >= {"files", "kernel", "ports"}
    assert len(CHECKS) == 7
    assert not report.running


def test_a_port_that_the_service_may_not_have_is_named_with_what_to_type(host: Change) -> None:
    it = host({"relay": {"listen": ["127.0.0.1:23478"], "listen_tcp": ["127.0.0.1:443"]}})
    start = it.proc / "sys/net/ipv4/ip_unprivileged_port_start"
    start.parent.mkdir(parents=True)
    start.write_text("1024\n")
    found = of(ports.check(it), "ports.privileged")
    assert found.level is (Level.WARN if os.geteuid() == 0 else Level.FAIL)
    assert found.what.startswith("443: ")
    assert found.advice.startswith("sysctl -w net.ipv4.ip_unprivileged_port_start=443")
    start.write_text("443\n")
    assert not [f for f in ports.check(it) if f.check == "ports.privileged"]


@pytest.mark.parametrize(
    ("kind", "silent"),
    [
        ("relay", {"ports.udp", "ports.tcp", "ports.firewall", "cpu.relays", "cpu.pinned"}),
        ("transceiver", {"ports.http", "ports.advertise"}),
    ],
)
def test_nothing_is_asked_of_workers_that_are_on_other_hosts(
    host: Change, kind: str, silent: set[str]
) -> None:
    for status in (None, structs.replace(STATUS, listen=(), page="", advertise=())):
        it = host({kind: {"workers": 0}}, status=status)
        findings = [*ports.check(it), *network.check(it)]
        assert not silent & {finding.check for finding in findings}
