"""Values of chunks; reading and writing them is tested in test_sctp."""

from __future__ import annotations

from workers.wire.sctp_chunks import REPORT_BIT, SKIP_BIT, ChunkType, Init, Parameter


def test_the_first_parameter_of_a_type() -> None:
    init = Init(False, 1, 2, 3, 4, 5, (Parameter(7, b"a"), Parameter(7, b"b")))
    assert init.parameter(7) == b"a"
    assert init.parameter(8) is None


def test_extensions_may_be_skipped_by_who_does_not_know_them() -> None:
    assert ChunkType.FORWARD_TSN & SKIP_BIT
    assert ChunkType.FORWARD_TSN & REPORT_BIT
    assert ChunkType.RE_CONFIG & SKIP_BIT
    assert not ChunkType.DATA & SKIP_BIT
