"""The first byte says what a datagram is (RFC 7983, figure 3)."""

import pytest

from workers.wire.demux import FORWARDED, KINDS, Kind, kind_of


@pytest.mark.parametrize(
    ("first", "last", "kind"),
    [
        (0, 3, Kind.STUN),
        (4, 19, Kind.UNKNOWN),
        (20, 63, Kind.DTLS),
        (64, 127, Kind.UNKNOWN),  # among them TURN channel data
        (128, 191, Kind.RTP),
        (192, 255, Kind.UNKNOWN),
    ],
)
def test_ranges(first: int, last: int, kind: Kind) -> None:
    assert {kind_of(bytes((byte,)) + b"rest") for byte in range(first, last + 1)} == {kind}


def test_an_empty_datagram_is_of_no_kind() -> None:
    assert kind_of(b"") is Kind.UNKNOWN


def test_only_dtls_and_rtp_pass_unread() -> None:
    assert {KINDS[byte] for byte in range(256) if FORWARDED[byte]} == {Kind.DTLS, Kind.RTP}
