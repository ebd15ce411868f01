"""One table a relay, the same for every process of its name; siblings only read it."""

from __future__ import annotations

import mmap
import os

import pytest

from appliance.supervisor.tables import Tables
from ipc.messages.lifecycle import DescriptorKind


def test_a_table_outlives_what_it_is_handed_to() -> None:
    tables = Tables()
    try:
        (kind, own), *others = [(d.kind, fd) for d, fd in tables.of(1, relays=3, room=100)]
        assert kind is DescriptorKind.TABLE
        assert [kind for kind, _ in others] == [DescriptorKind.SIBLING] * 2
        assert os.fstat(own).st_size == 0
        os.write(own, b"flows")
        again = tables.of(1, relays=3, room=100)
        assert os.pread(again[0][1], 10, 0) == b"flows"
        seen = tables.of(0, relays=3, room=100)[1][1]
        assert os.pread(seen, 10, 0) == b"flows"
        with pytest.raises(OSError, match="Bad file"):
            os.write(seen, b"x")
        assert not any(os.get_inheritable(fd) for fd in (own, seen))
    finally:
        tables.close()


def test_siblings_that_do_not_fit_are_left_out() -> None:
    tables = Tables()
    assert len(tables.of(0, relays=300, room=200)) == 200
    tables.close()


def test_the_memory_of_one_that_has_left_is_given_back_and_its_descriptor_stays() -> None:
    tables = Tables()
    try:
        (_, own), (_, sibling) = tables.of(1, relays=2, room=100)
        for fd in (own, tables.of(0, relays=2, room=100)[0][1]):
            os.write(fd, b"flows..." * mmap.PAGESIZE)
        tables.keep(1)
        after = os.fstat(own)  # who has mapped it may go on
        assert (after.st_size, after.st_blocks) == (8 * mmap.PAGESIZE, 0)
        assert os.pread(own, 5, 0) == bytes(5)
        assert os.pread(sibling, 5, 0) == b"flows"
        assert tables.of(1, relays=2, room=100)[0][1] == own
        assert tables.readers([0]) == [sibling]
    finally:
        tables.close()
