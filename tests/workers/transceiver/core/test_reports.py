"""Reports: when they are due, what ours say, and what is learnt of the peer's."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.sessions import OPUS, PCMU, entropy
from workers.transceiver.core.reports import GRID, INTERVAL, REMEMBERED, Reported, Reports
from workers.transceiver.core.streams.interface import AudioParameters, StreamStats
from workers.wire.rtcp import (
    Goodbye,
    ReceiverReport,
    ReportBlock,
    RtcpPacket,
    SenderReport,
    SourceDescription,
    encode_rtcp,
    parse_rtcp,
)
from workers.wire.types import Malformed

OURS, THEIRS = 0x11111111, 0x22222222
AUDIO = AudioParameters("0", (OPUS, PCMU), sends=True, receives=True)
NOTHING = StreamStats()
HEARING = StreamStats(
    packets_in=100, expected=100, source=THEIRS, highest=65_536 + 99, payload_type=111
)
SPEAKING = StreamStats(
    packets_out=7, octets_out=700, timestamp_out=1000, sent_at=10.0, payload_type_out=111
)
WALL = 1_700_000_000.0


def reports(draw: Callable[[int], bytes] | None = None, wall: float = WALL) -> Reports:
    return Reports(OURS, AUDIO, draw or entropy("r"), wall)


def said(compound: bytes) -> list[RtcpPacket]:
    return parse_rtcp(compound)


def block_of(compound: bytes) -> ReportBlock:
    first = said(compound)[0]
    assert isinstance(first, SenderReport | ReceiverReport)
    (block,) = first.blocks
    return block


def sender_report(compound: bytes) -> SenderReport:
    first = said(compound)[0]
    assert isinstance(first, SenderReport)
    return first


def answer(reports: Reports, last: int, delay: int = 0, now: float = 0.0, **fields: int) -> None:
    """What the peer says of us."""
    block = ReportBlock(OURS, 0, 0, 0, 0, last, delay)._replace(**fields)
    reports.receive(encode_rtcp([ReceiverReport(THEIRS, (block,))]), now)


def middle(ntp: int) -> int:
    return ntp >> 16 & 0xFFFFFFFF


# --- when -----------------------------------------------------------------------------------------


def test_nothing_is_due_before_there_are_keys() -> None:
    core = reports()
    assert core.due is None
    assert not core.is_due(100.0)


@pytest.mark.parametrize(("byte", "factor"), [(0x00, 0.5), (0xFF, 1.5)])
def test_the_first_is_early_and_all_are_spread(byte: int, factor: float) -> None:
    core = reports(lambda size: bytes((byte,)) * size)
    core.begin(100.0)
    assert core.due is not None
    assert 0 <= core.due - (100.0 + 1.0 * factor) < GRID
    assert core.due % GRID == 0
    assert not core.is_due(100.0 + 0.99 * factor)
    assert core.is_due(200.0)
    core.report(NOTHING, 200.0)
    assert 0 <= core.due - (200.0 + INTERVAL * factor) < GRID


def test_nothing_is_due_after_the_goodbye() -> None:
    core = reports()
    core.begin(0.0)
    core.goodbye()
    assert core.due is None


# --- ours -----------------------------------------------------------------------------------------


def test_who_has_not_sent_sends_a_receiver_report_and_a_name() -> None:
    first, second = said(reports().report(NOTHING, 0.0))
    assert first == ReceiverReport(OURS)
    assert isinstance(second, SourceDescription)
    ((source, name),) = second.names
    assert source == OURS
    assert len(name) == 24


def test_the_name_stays_and_differs_between_sessions() -> None:
    core = reports()
    assert said(core.report(NOTHING, 0.0))[1] == said(core.report(NOTHING, 5.0))[1]
    other = reports(entropy("other"))
    assert said(core.report(NOTHING, 9.0))[1] != said(other.report(NOTHING, 9.0))[1]


def test_who_has_sent_since_the_last_one_sends_a_sender_report() -> None:
    core = reports()
    assert isinstance(said(core.report(SPEAKING, 11.0))[0], SenderReport)
    assert isinstance(said(core.report(SPEAKING, 16.0))[0], ReceiverReport)
    more = SPEAKING._replace(packets_out=8)
    assert isinstance(said(core.report(more, 21.0))[0], SenderReport)


def test_a_sender_report_ties_the_wall_clock_to_the_stream() -> None:
    report = sender_report(reports().report(SPEAKING, 10.5))
    assert (report.source, report.packets, report.octets) == (OURS, 7, 700)
    assert report.ntp >> 32 == int(WALL) + 10 + 2_208_988_800
    assert (report.ntp & 0xFFFFFFFF) / 2**32 == pytest.approx(0.5, abs=1e-5)
    assert report.timestamp == 1000 + 24_000


def test_the_stream_has_the_clock_of_what_was_sent() -> None:
    report = sender_report(reports().report(SPEAKING._replace(payload_type_out=0), 10.5))
    assert report.timestamp == 1000 + 4_000


def test_counts_and_timestamps_wrap() -> None:
    stats = SPEAKING._replace(
        packets_out=2**32 + 1, octets_out=2**32 + 2, timestamp_out=2**32 - 1, sent_at=10.0
    )
    report = sender_report(reports().report(stats, 10.5))
    assert (report.packets, report.octets, report.timestamp) == (1, 2, 23_999)


def test_a_block_says_what_came() -> None:
    stats = HEARING._replace(lost=20, jitter=0.01)
    assert block_of(reports().report(stats, 1.0)) == ReportBlock(
        THEIRS, 51, 20, 65_536 + 99, 480, 0, 0
    )
    stats = stats._replace(payload_type=0)
    assert block_of(reports().report(stats, 1.0)).jitter == 80


def test_the_fraction_is_of_the_interval_and_the_sum_of_all() -> None:
    core = reports()
    core.report(HEARING._replace(lost=50), 0.0)
    later = HEARING._replace(packets_in=150, expected=200, lost=50)
    assert block_of(core.report(later, 5.0))[1:3] == (0, 50)
    # Late ones came: fewer are lost than before.
    late = HEARING._replace(packets_in=200, expected=210, lost=10)
    assert block_of(core.report(late, 10.0))[1:3] == (0, 10)
    gone = HEARING._replace(packets_in=201, expected=1211, lost=1010)
    assert block_of(core.report(gone, 15.0))[1:3] == (255, 1010)


def test_silence_is_not_reported() -> None:
    core = reports()
    core.report(HEARING, 0.0)
    assert said(core.report(HEARING, 5.0))[0] == ReceiverReport(OURS)


def test_another_source_begins_without_the_losses_of_the_one_before() -> None:
    core = reports()
    core.report(HEARING._replace(lost=30), 0.0)
    other = HEARING._replace(source=77, packets_in=150, expected=160, lost=35, highest=5)
    block = block_of(core.report(other, 5.0))
    assert (block.source, block.lost, block.highest) == (77, 5, 5)


def test_a_block_echoes_the_peers_sender_report() -> None:
    core = reports()
    ntp = 0x0123456789ABCDEF
    core.receive(encode_rtcp([SenderReport(THEIRS, ntp, 0, 0, 0)]), 100.0)
    block = block_of(core.report(HEARING, 100.25))
    assert (block.last_report, block.delay) == (0x456789AB, 0x4000)


def test_only_the_source_that_is_reported_on_is_echoed() -> None:
    core = reports()
    core.receive(encode_rtcp([SenderReport(77, 1 << 40, 0, 0, 0)]), 100.0)
    assert block_of(core.report(HEARING, 100.25))[5:] == (0, 0)


def test_a_report_of_long_ago_is_echoed_with_the_longest_delay_there_is() -> None:
    core = reports()
    core.receive(encode_rtcp([SenderReport(THEIRS, 1 << 40, 0, 0, 0)]), 0.0)
    assert block_of(core.report(HEARING, 1e6)).delay == 0xFFFFFFFF


def test_the_goodbye_has_a_report_before_it() -> None:
    core = reports()
    _, name = said(core.report(HEARING, 5.0))
    assert said(core.goodbye()) == [ReceiverReport(OURS), name, Goodbye((OURS,))]


def test_who_never_spoke_says_no_goodbye() -> None:
    assert reports().goodbye() == b""


# --- the peer's -----------------------------------------------------------------------------------


def test_what_the_peer_says_of_us_is_kept() -> None:
    core = reports()
    core.report(SPEAKING, 10.0)
    answer(core, 0, now=12.0, fraction_lost=64, lost=-3, jitter=480)
    assert core.reported == Reported(0.25, -3, 0.01, 12.0)
    assert core.round_trip is None


def test_jitter_is_in_the_clock_of_what_we_sent() -> None:
    core = reports()
    core.report(SPEAKING._replace(payload_type_out=0), 10.0)
    answer(core, 0, jitter=80)
    assert core.reported is not None
    assert core.reported.jitter == pytest.approx(0.01)


def test_what_it_says_of_others_is_not_for_us() -> None:
    core = reports()
    answer(core, 0, source=OURS + 1, lost=9)
    assert core.reported is None


def test_the_answer_to_a_sender_report_gives_the_round_trip() -> None:
    core = reports()
    ntp = sender_report(core.report(SPEAKING, 10.0)).ntp
    answer(core, middle(ntp), delay=0x8000, now=10.58)
    assert core.round_trip == pytest.approx(0.08)


def test_a_round_trip_is_never_negative() -> None:
    core = reports()
    ntp = sender_report(core.report(SPEAKING, 10.0)).ntp
    answer(core, middle(ntp), delay=0x10000, now=10.9)
    assert core.round_trip == 0.0


def test_a_sender_report_that_we_did_not_send_gives_none() -> None:
    core = reports()
    ntp = sender_report(core.report(SPEAKING, 10.0)).ntp
    answer(core, middle(ntp) + 1, now=11.0)
    assert core.round_trip is None


def test_only_the_last_few_sender_reports_are_remembered() -> None:
    core = reports()
    ntps = [
        sender_report(core.report(SPEAKING._replace(packets_out=n), 10.0 * n)).ntp
        for n in range(1, REMEMBERED + 2)
    ]
    answer(core, middle(ntps[0]), now=100.0)
    assert core.round_trip is None
    answer(core, middle(ntps[1]), now=100.0)
    assert core.round_trip == pytest.approx(80.0)


def test_two_ends_agree_on_the_round_trip() -> None:
    """Ours and theirs, 30 ms apart, with clocks that have nothing to do with each other."""
    here = reports()
    there = Reports(THEIRS, AUDIO, entropy("t"), 5.0)
    here_speaks = HEARING._replace(packets_out=5, payload_type_out=111)
    there_hears = StreamStats(packets_in=5, expected=5, source=OURS, payload_type=111)
    there.receive(here.report(here_speaks, 1.0), 5001.03)
    here.receive(there.report(there_hears, 5003.0), 3.0)
    assert here.round_trip == pytest.approx(0.03, abs=1e-4)


def test_a_goodbye_names_who_is_gone() -> None:
    core = reports()
    assert core.gone is None
    core.receive(encode_rtcp([Goodbye(())]), 0.0)
    assert core.gone is None
    core.receive(encode_rtcp([ReceiverReport(THEIRS), Goodbye((THEIRS,))]), 0.0)
    assert core.gone == THEIRS


def test_half_a_compound_counts_for_nothing() -> None:
    core = reports()
    good = encode_rtcp([ReceiverReport(THEIRS, (ReportBlock(OURS, 1, 1, 1, 1, 1, 1),))])
    with pytest.raises(Malformed):
        core.receive(good + b"\x80", 0.0)
    assert core.reported is None


words = st.integers(0, 2**32 - 1)


@given(
    st.lists(
        st.tuples(
            st.builds(ReportBlock, st.just(OURS), st.integers(0, 255), st.just(0), *[words] * 4),
            st.floats(0, 1e6),
        ),
        max_size=20,
    )
)
def test_whatever_the_peer_says_our_numbers_stay_sane(
    said_of_us: list[tuple[ReportBlock, float]],
) -> None:
    core = reports()
    core.report(SPEAKING, 0.0)
    for block, now in said_of_us:
        core.receive(encode_rtcp([ReceiverReport(THEIRS, (block,))]), now)
        assert core.reported is not None
        assert 0 <= core.reported.fraction_lost < 1
        assert core.reported.jitter >= 0
        assert core.round_trip is None or core.round_trip >= 0


@given(
    st.builds(
        StreamStats,
        *[st.integers(0, 2**40)] * 4,
        st.floats(0, 1),
        words,
        received_at=st.floats(0, 1e9),
        sent_at=st.floats(0, 1e9),
    )
)
def test_whatever_was_counted_can_be_reported(stats: StreamStats) -> None:
    core = reports()
    for now in (1.0, 6.0):
        assert parse_rtcp(core.report(stats, now))
