"""What journald is told, read back as its protocol says."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from config.model import LogSection
from ipc.journal import JournalWriter, encode_fields, fields_of, is_journal
from ipc.log import open_log
from tests.support.short_path import short_directory as short_directory


def read(datagram: bytes) -> dict[str, str]:
    """The other half of the protocol."""
    fields: dict[str, str] = {}
    while datagram:
        head, _, datagram = datagram.partition(b"\n")
        name, separator, value = head.partition(b"=")
        if not separator:
            (length,) = struct.unpack_from("<Q", datagram)
            value, datagram = datagram[8 : 8 + length], datagram[9 + length :]
        fields[name.decode()] = value.decode()
    return fields


@given(st.dictionaries(st.from_regex(r"[A-Z][A-Z0-9_]{0,20}", fullmatch=True), st.text()))
def test_any_value_comes_through(fields: dict[str, str]) -> None:
    assert read(encode_fields(fields)) == fields


def test_a_line_has_a_message_a_priority_and_each_value_as_a_field() -> None:
    fields = fields_of(
        {"worker": "transceiver-0", "event": "session closed", "level": "warning", "pid": 7,
         "session": "rtc_0_x", "message": "clash", "_odd key": 5, "exception": "Traceback\n  ..."}
    )  # fmt: skip
    assert fields["MESSAGE"].splitlines()[0].startswith("transceiver-0: session closed session=")
    assert fields["MESSAGE"].endswith("Traceback\n  ...")
    assert (fields["PRIORITY"], fields["EVENT"]) == ("4", "session closed")
    assert (fields["SESSION"], fields["WORKER"]) == ("rtc_0_x", "transceiver-0")
    assert (fields["TANDEM_MESSAGE"], fields["ODD_KEY"]) == ("clash", "5")
    assert "PID" not in fields


def test_a_journal_that_is_stuck_costs_lines_that_are_counted_and_told(
    short_directory: Path,
) -> None:
    path = str(short_directory / "journal")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(path)
        journal.setblocking(False)
        writer = JournalWriter(path)
        log = open_log(LogSection(), "relay-0", writer=writer)
        for number in range(90):
            log.info("line", number=number, padding="x" * 8000)
        lost = writer.dropped
        assert lost
        for _ in range(90 - lost):
            assert read(journal.recv(1 << 17))["WORKER"] == "relay-0"
        log.error("after")
        said = read(journal.recv(1 << 17))
        assert (said["PRIORITY"], said["LINES_DROPPED"]) == ("3", str(lost))
        writer.close()


def test_a_flood_of_one_event_is_cut(short_directory: Path) -> None:
    path = str(short_directory / "journal")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(path)
        writer = JournalWriter(path)
        log = open_log(LogSection(), "relay-0", writer=writer)
        received = 0
        journal.setblocking(False)
        for _ in range(5000):
            log.info("again")
            try:
                journal.recv(1 << 17)
                received += 1
            except BlockingIOError:
                pass
        assert 100 <= received < 2500
        writer.close()


def test_the_stream_is_known_by_its_numbers() -> None:
    read_end, write_end = os.pipe()
    found = os.fstat(write_end)
    assert is_journal(write_end, f"{found.st_dev}:{found.st_ino}")
    assert not is_journal(write_end, "1:2")
    assert not is_journal(write_end, "")
    os.close(read_end)
    os.close(write_end)
    assert not is_journal(write_end, f"{found.st_dev}:{found.st_ino}")
