"""Entries as the journal's protocol has them, and a journal that is slow or gone."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from ipc.journal import MAX_VALUE, JournalWriter, encode, fields_of, graver, is_journal


def decode(entry: bytes) -> dict[str, bytes]:
    """The other end of the protocol."""
    found: dict[str, bytes] = {}
    while entry:
        line, entry = entry.split(b"\n", 1)
        if b"=" in line:
            name, value = line.split(b"=", 1)
        else:
            (size,) = struct.unpack_from("<Q", entry)
            name, value, entry = line, entry[8 : 8 + size], entry[8 + size + 1 :]
        found[name.decode()] = value
    return found


@given(st.text(), st.text())
def test_any_text_comes_back_whole(text: str, session: str) -> None:
    found = decode(encode(text, {"TANDEM_SESSION": session}))
    assert found["MESSAGE"] == text.encode("utf-8", "backslashreplace")
    assert found["TANDEM_SESSION"] == session.encode("utf-8", "backslashreplace")
    assert len(found) == 2


def test_what_is_too_long_is_cut() -> None:
    assert decode(encode("x" * (2 * MAX_VALUE), {})) == {"MESSAGE": b"x" * MAX_VALUE}


def test_fields_are_what_lines_are_looked_up_by() -> None:
    line = {
        "level": "warning",
        "event": "killed",
        "worker": "supervisor",
        "of": "relay-0",
        "why": 1,
    }
    assert fields_of(line) == {
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "tandem",
        "TANDEM_WORKER": "supervisor",
        "TANDEM_OF": "relay-0",
        "TANDEM_EVENT": "killed",
    }


def test_the_journal_is_known_by_the_name_that_systemd_gives_it(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file:
        found = os.fstat(file.fileno())
        named = {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}
        assert is_journal(file.fileno(), named)
        assert not is_journal(file.fileno(), {})
        assert not is_journal(file.fileno(), {"JOURNAL_STREAM": f"{found.st_dev}:1"})
        fd = os.dup(file.fileno())
    os.close(fd)
    assert not is_journal(fd, named)
    assert graver("as it is") == "as it is", "the journal is not where tests complain"


def test_a_journal_that_reads_nothing_costs_entries_that_are_counted(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "socket")
    writer.write("nobody listens", {})
    assert (writer.dropped, writer.unsaid) == (1, 1)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(str(tmp_path / "socket"))
        writer.write("first", {})
        assert writer.unsaid == 0
        while not writer.unsaid:
            writer.write("x" * 1000, {})
        assert decode(journal.recv(65536)) == {"MESSAGE": b"first"}
        writer.finish()  # and comes back, though nobody reads
    writer.close()
    writer.finish()
