"""Lines look right, and a reader that is stuck or gone never stops the writer."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from config.model import LogFormat, LogLevel, LogSection
from ipc.log import MAX_LINE, LineWriter, open_log
from ipc.log_limit import BURST, SESSION_BURST
from tests.support.quiet_log import LogLines


def test_a_json_line_says_who_when_and_what() -> None:
    lines = LogLines()
    lines.log.bind(session="rtc_1").info("connected", path="a>b/udp", took=0.25)
    (line,) = lines.lines()
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "worker": "test",
        "pid": os.getpid(),
        "session": "rtc_1",
        "event": "connected",
        "level": "info",
        "path": "a>b/udp",
        "took": 0.25,
    }
    lines.close()


def test_lines_below_the_level_are_not_made() -> None:
    lines = LogLines(LogLevel.WARNING)
    lines.log.debug("no")
    lines.log.info("no")
    lines.log.warning("yes")
    lines.log.error("yes too")
    assert lines.events() == ["yes", "yes too"]
    lines.close()


def test_an_exception_comes_with_its_traceback_in_one_line() -> None:
    lines = LogLines()
    try:
        raise ExceptionGroup("several", [ValueError("boom \udc80")])
    except ExceptionGroup:
        lines.log.exception("it failed", thing=object())
    (line,) = lines.lines()
    assert "ValueError: boom" in line["exception"]
    lines.close()


def test_console_lines_are_for_people(capfd: pytest.CaptureFixture[str]) -> None:
    log = open_log(LogSection(format=LogFormat.CONSOLE), "relay-0")
    log.info("ready", link="127.0.0.1:5")
    out, err = capfd.readouterr()
    assert not out
    assert err[8:] == " info     relay-0        ready  link=127.0.0.1:5\n"


def test_a_traceback_is_for_people_too(capfd: pytest.CaptureFixture[str]) -> None:
    log = open_log(LogSection(format=LogFormat.CONSOLE), "relay-0")
    try:
        raise ValueError("boom")
    except ValueError:
        log.exception("it failed", thing=1)
    first, *rest = capfd.readouterr().err.splitlines()
    assert first.endswith("error    relay-0        it failed  thing=1")
    assert rest[0].startswith("Traceback")
    assert rest[-1] == "ValueError: boom"


def test_auto_is_json_when_nobody_looks_on(capfd: pytest.CaptureFixture[str]) -> None:
    open_log(LogSection(), "relay-0").info("ready")
    assert json.loads(capfd.readouterr().err)["event"] == "ready"


def small_pipe() -> tuple[int, int]:
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
    return read, write


def test_a_stuck_reader_of_a_pipe_costs_lines_that_are_counted_and_told() -> None:
    read, write = small_pipe()
    writer = LineWriter(write)
    log = open_log(LogSection(format=LogFormat.JSON), "relay-0", writer=writer)
    for number in range(200):
        log.info(f"line {number}", number=number)
    assert writer.dropped > 100
    lost = writer.dropped
    text = os.read(read, 65536)
    log.info("after")
    text += os.read(read, 65536)
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["number"] for line in lines[:-1]] == list(range(200 - lost))
    assert lines[-1]["event"] == "after"
    assert lines[-1]["lines_dropped"] == lost
    assert fcntl.fcntl(write, fcntl.F_GETFL) & os.O_NONBLOCK == 0, "shared flags stay as they were"
    writer.close()
    os.close(read)
    os.close(write)


def test_a_flood_of_one_line_leaves_most_of_them_out_and_no_other() -> None:
    lines = LogLines()
    for _ in range(1000):
        lines.log.warning("again")
        lines.log.info("met", session="rtc_1")
    lines.log.warning("other")
    assert Counter(lines.events()) == {"again": BURST, "met": SESSION_BURST, "other": 1}
    lines.close()


def test_what_befalls_one_worker_after_the_other_is_no_flood() -> None:
    lines = LogLines()
    for number in range(3 * BURST):
        lines.log.info("worker", of=f"relay-{number}", state="ready")
    assert len(lines.events()) == 3 * BURST
    lines.close()


def test_lines_below_the_level_are_none_of_the_burst() -> None:
    lines = LogLines(LogLevel.WARNING)
    for _ in range(BURST):
        lines.log.info("one")
    lines.log.warning("one")
    assert lines.events() == ["one"]
    lines.close()


def test_where_standard_error_is_the_journal_lines_are_entries_with_fields(tmp_path: Path) -> None:
    """In a process of its own, whose standard error is a socket, as systemd makes it."""
    program = """
import os, sys
from pathlib import Path
from ipc import journal
journal.JournalWriter.__init__.__defaults__ = (Path(sys.argv[1]),)
from config.model import LogSection
from ipc.log import open_log
found = os.fstat(2)
os.environ["JOURNAL_STREAM"] = f"{found.st_dev}:{found.st_ino}"
log = open_log(LogSection(), "relay-0")
log.info("ready")
log.bind(session="rtc_1").error("crashed", why="a bug")
"""
    ours, theirs = socket.socketpair()
    with ours, theirs, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(str(tmp_path / "socket"))
        command = [sys.executable, "-c", program, str(tmp_path / "socket")]
        with subprocess.Popen(command, stderr=theirs.fileno()) as process:
            journal.settimeout(30)
            entries = [
                dict(line.split("=", 1) for line in entry.splitlines())
                for entry in (journal.recv(65536).decode(), journal.recv(65536).decode())
            ]
            assert process.wait(30) == 0
        ours.setblocking(False)
        with pytest.raises(BlockingIOError):
            ours.recv(1)
    first, second = entries
    assert json.loads(first.pop("MESSAGE"))["event"] == "ready"
    assert first == {
        "PRIORITY": "6",
        "SYSLOG_IDENTIFIER": "tandem",
        "TANDEM_WORKER": "relay-0",
        "TANDEM_EVENT": "ready",
    }
    assert json.loads(second["MESSAGE"])["why"] == "a bug"
    assert (second["PRIORITY"], second["TANDEM_SESSION"]) == ("3", "rtc_1")


def test_a_line_taken_in_part_is_finished_first() -> None:
    read, write = small_pipe()
    writer = LineWriter(write)
    writer.write("x" * 6000)
    writer.write("dropped")
    assert writer.dropped == 1
    text = os.read(read, 65536)
    writer.write("next")
    text += os.read(read, 65536)
    assert text == b"x" * 6000 + b"\nnext\n"
    writer.close()
    os.close(read)
    os.close(write)


def test_a_stuck_reader_of_a_socket_as_journald_has_it() -> None:
    reader, given = socket.socketpair()
    with reader, given:
        writer = LineWriter(given.fileno())
        while not writer.dropped:
            writer.write("x" * 1000)
        reader.setblocking(False)
        assert reader.recv(1001) == b"x" * 1000 + b"\n"
        assert given.getblocking()
        writer.close()


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_a_reader_that_is_gone_is_no_error(kind: str) -> None:
    if kind == "pipe":
        read, write = os.pipe()
    else:
        reader, given = socket.socketpair()
        read, write = reader.detach(), given.detach()
    writer = LineWriter(write)
    os.close(read)
    writer.write("to nobody")
    assert writer.dropped == 1
    writer.close()
    os.close(write)


def test_without_a_standard_error_all_lines_are_dropped() -> None:
    read, write = os.pipe()
    os.close(read)
    os.close(write)
    writer = LineWriter(write)
    open_log(LogSection(), "relay-0", writer=writer).info("ready")
    assert writer.dropped == 1
    writer.close()


def test_a_terminal_and_a_file(tmp_path: Path) -> None:
    leader, follower = pty.openpty()
    writer = LineWriter(follower)
    writer.write("hello")
    assert os.read(leader, 100) == b"hello\r\n"
    writer.close()
    os.close(leader)
    os.close(follower)
    with (tmp_path / "log").open("wb") as file:
        writer = LineWriter(file.fileno())
        writer.write("hello")
        writer.write("x" * (2 * MAX_LINE))
        writer.close()
    assert (tmp_path / "log").read_bytes() == b"hello\n" + b"x" * MAX_LINE + b"\n"


def test_the_log_does_not_bring_rich_and_leaves_it_to_others() -> None:
    program = "import ipc.log, sys; assert 'rich' not in sys.modules; import rich.table"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
