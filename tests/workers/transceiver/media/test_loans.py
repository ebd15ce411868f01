"""A line without a plane that helps: it has the credit, and does nothing by itself."""

from __future__ import annotations

from workers.transceiver.media.loans import Line


def test_a_plain_line_leaves_everything_to_us() -> None:
    line = Line()
    line.credit += 5
    assert line.credit == 5
    assert line.take_batch() == (b"", 0)
    assert line.hear(b"\x90", 0.0) == (0, 0)
    assert line.take_without_credit() == 0
    line.close()
