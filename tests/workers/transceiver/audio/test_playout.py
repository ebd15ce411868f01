"""Playout: a frame every 20 ms, the right timestamps, and the truth about what was heard."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from workers.transceiver.audio.playout import (
    FRAME,
    LIVE_MOST,
    LIVE_SPARE,
    LIVE_WINDOW,
    MAX_LATE,
    REST,
    Frame,
    Played,
    Playout,
    PlayoutOutput,
    Progress,
)

STEP = 960


def opus(buffer: float = 10.0) -> Playout:
    return Playout(clock_rate=48_000, frame_bytes=0, buffer=buffer, timestamp=1000)


def frames(outputs: list[PlayoutOutput]) -> list[Frame]:
    return [output for output in outputs if isinstance(output, Frame)]


def run(playout: Playout, since: float, until: float) -> list[tuple[float, PlayoutOutput]]:
    """Wake it whenever it wants to be woken, exactly in time."""
    seen: list[tuple[float, PlayoutOutput]] = []
    while (due := playout.next_timeout()) is not None and due <= until:
        now = max(due, since)
        seen += [(now, output) for output in playout.handle_timeout(now)]
    return seen


def test_frames_leave_on_a_grid() -> None:
    playout = opus()
    for number in range(5):
        playout.add("a", b"%d" % number, now=7.0, last=number == 4)
    sent = [(at, out) for at, out in run(playout, 7.0, 8.0) if isinstance(out, Frame)]
    assert [round(at - 7.0, 6) for at, _ in sent] == [0.0, 0.02, 0.04, 0.06, 0.08]
    assert [out.timestamp for _, out in sent] == [1000 + STEP * n for n in range(5)]
    assert [out.marker for _, out in sent] == [True, False, False, False, False]
    assert playout.next_timeout() is None


def test_an_item_starts_and_drains() -> None:
    playout = opus()
    for number in range(27):
        playout.add("a", b"x", now=0.0, last=number == 26)
    played = [out for _, out in run(playout, 0.0, 1.0) if isinstance(out, Played)]
    assert played == [
        Played("a", Progress.STARTED, 0),
        Played("a", Progress.PROGRESS, 500),
        Played("a", Progress.DRAINED, 540),
    ]


def test_a_flush_stops_before_the_next_frame_and_tells_what_was_heard() -> None:
    playout = opus()
    for _ in range(50):
        playout.add("a", b"x", now=0.0)
    playout.add("b", b"y", now=0.0)
    run(playout, 0.0, 0.1)
    assert playout.flush("") == [
        Played("a", Progress.CLEARED, 120),
        Played("b", Progress.CLEARED, 0),
    ]
    assert playout.next_timeout() is None
    assert playout.waiting == 0


def test_one_item_can_be_flushed() -> None:
    playout = opus()
    playout.add("a", b"a", now=0.0, last=True)
    playout.add("b", b"b", now=0.0, last=True)
    assert playout.flush("a") == [Played("a", Progress.CLEARED, 0)]
    assert [frame.payload for frame in frames(playout.handle_timeout(0.0))] == [b"b"]


def test_an_hour_does_not_drift() -> None:
    playout = opus()
    now = 0.0
    last = None
    for number in range(180_000):
        playout.add("a", b"x", now)
        due = playout.next_timeout()
        assert due is not None
        now = due + 0.0007 * (number % 3)  # a timer is never early and often late
        (last,) = frames(playout.handle_timeout(now))
    assert last is not None
    assert last.timestamp == (1000 + STEP * 179_999) % (1 << 32)
    assert abs(now - 3599.98) < 0.002


def test_a_starved_item_leaves_a_gap_of_the_right_length() -> None:
    playout = opus()
    playout.add("a", b"1", now=0.0)
    assert frames(playout.handle_timeout(0.0))[0].timestamp == 1000
    assert frames(playout.handle_timeout(0.02)) == []
    assert frames(playout.handle_timeout(0.04)) == []
    playout.add("a", b"2", now=0.05)
    (frame,) = frames(playout.handle_timeout(0.06))
    assert (frame.timestamp, frame.marker) == (1000 + 3 * STEP, True)
    assert playout.starved == 2


def test_after_a_rest_the_first_word_does_not_wait() -> None:
    playout = opus()
    playout.add("a", b"1", now=0.0, last=True)
    playout.handle_timeout(0.0)
    begin = 10.0 * REST + 0.0137
    playout.add("b", b"2", now=begin, last=True)
    assert (playout.next_timeout() or 0.0) <= begin
    (frame,) = frames(playout.handle_timeout(begin))
    assert frame.marker
    assert frame.timestamp == 1000 + round(begin / FRAME) * STEP


def test_a_pause_keeps_what_waits() -> None:
    playout = opus()
    for number in range(10):
        playout.add("a", b"%d" % number, now=0.0)
    run(playout, 0.0, 0.04)
    playout.pause()
    assert playout.next_timeout() is None
    playout.handle_timeout(0.5)
    playout.resume(0.51)
    (first, *_) = frames([output for _, output in run(playout, 0.51, 0.53)])
    assert first.payload == b"3"
    assert first.marker


def test_a_late_timer_catches_up_a_little_and_forgives_the_rest() -> None:
    playout = opus()
    for _ in range(100):
        playout.add("a", b"x", now=0.0)
    playout.handle_timeout(0.0)
    caught_up = frames(playout.handle_timeout(0.06))
    assert len(caught_up) == 3
    after_stall = frames(playout.handle_timeout(0.06 + REST - 0.03))
    assert len(after_stall) <= MAX_LATE + 1
    assert after_stall[0].marker


def test_pcm_comes_in_any_pieces_and_the_last_frame_is_filled() -> None:
    playout = Playout(clock_rate=48_000, frame_bytes=640, buffer=1.0, timestamp=0)
    sound = bytes(range(256)) * 10
    for at in range(0, len(sound), 100):
        assert playout.add("a", sound[at : at + 100], now=0.0)
    playout.add("a", b"", now=0.0, last=True)
    sent = b"".join(frame.payload for frame in frames([out for _, out in run(playout, 0.0, 1.0)]))
    assert sent == sound
    playout.add("b", b"\x01\x02", now=2.0, last=True)
    (frame,) = frames(playout.handle_timeout(2.0))
    assert frame.payload == b"\x01\x02".ljust(640, b"\0")


def test_a_flood_is_refused_whole() -> None:
    playout = opus(buffer=0.1)
    taken = [playout.add("a", b"x", now=0.0) for _ in range(8)]
    assert taken == [True] * 5 + [False] * 3
    assert playout.refused == 3
    assert playout.waiting == 0.1


def echo(playout: Playout, spoken: list[int], until: int) -> list[bytes]:
    """Frames that come in real time, and what leaves; `spoken`: how many come in each 20 ms, then one."""
    sent: list[bytes] = []
    number = 0
    for tick in range(until):
        now = 7.0 + tick * FRAME
        for _ in range(spoken[tick] if tick < len(spoken) else 1):
            assert playout.add("", b"%d" % number, now, live=True)
            number += 1
        due = playout.next_timeout()
        if due is not None and due <= now + FRAME / 2:
            sent += [frame.payload for frame in frames(playout.handle_timeout(now + FRAME / 2))]
    return sent


def test_live_audio_does_not_stay_behind_after_a_stall() -> None:
    playout = opus()
    sent = echo(playout, [1] * 20 + [0] * 30 + [31], 51 + 3 * LIVE_WINDOW)
    assert playout.waiting <= LIVE_SPARE * FRAME
    newest = 51 + 3 * LIVE_WINDOW - 1
    assert int(sent[-1]) >= newest - LIVE_SPARE
    assert playout.skipped == newest + 1 - len(sent) - round(playout.waiting / FRAME)
    assert sent == sorted(sent, key=int)


def test_live_audio_that_comes_in_bursts_is_left_alone() -> None:
    playout = opus()
    sent = echo(playout, [5, 0, 0, 0, 0] * 40, 200)
    assert playout.skipped == 0
    assert len(sent) == 200


def test_live_audio_is_bounded_at_once_and_never_refused() -> None:
    playout = opus()
    echo(playout, [1] * 10 + [0] * 600 + [601], 611)
    assert playout.waiting <= LIVE_MOST * FRAME
    assert playout.refused == 0


def test_what_is_not_live_is_played_whole_however_long_it_takes() -> None:
    playout = opus()
    for number in range(300):
        playout.add("a", b"%d" % number, 0.0, last=number == 299)
    assert len([out for _, out in run(playout, 0.0, 10.0) if isinstance(out, Frame)]) == 300
    assert playout.skipped == 0


def test_empty_items_pass() -> None:
    playout = opus()
    playout.add("a", b"", now=0.0, last=True)
    playout.add("b", b"x", now=0.0, last=True)
    assert playout.handle_timeout(0.0)[0] == Played("a", Progress.DRAINED, 0)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.sampled_from("abc"), st.booleans()),
            st.tuples(st.just("flush"), st.sampled_from(["", "a", "b"]), st.booleans()),
            st.tuples(st.just("pause"), st.just(""), st.booleans()),
            st.tuples(st.just("resume"), st.just(""), st.booleans()),
            st.tuples(st.just("wait"), st.sampled_from("1258"), st.booleans()),
        ),
        max_size=60,
    )
)
def test_whatever_is_asked(steps: list[tuple[str, str, bool]]) -> None:
    """Every frame leaves once and in order, timestamps only grow, and as fast as time passes."""
    playout = opus(buffer=1.0)
    now, added, sent, flushed = 0.0, 0, 0, 0
    stamps: list[int] = []
    for what, value, last in steps:
        before = playout.waiting
        match what:
            case "add":
                added += playout.add(value, b"x", now, last=last)
            case "flush":
                playout.flush(value)
                flushed += round((before - playout.waiting) / FRAME)
            case "pause":
                playout.pause()
            case "resume":
                playout.resume(now)
            case _:
                now += int(value) * 0.013
        due = playout.next_timeout()
        if due is not None and due <= now:
            out = frames(playout.handle_timeout(now))
            assert len(out) <= MAX_LATE + 1
            sent += len(out)
            stamps += [frame.timestamp for frame in out]
            after = playout.next_timeout()
            assert after is None or after > now - 1e-6
    assert added == sent + flushed + round(playout.waiting / FRAME)
    assert stamps == sorted(set(stamps))
    if len(stamps) > 1:
        assert (stamps[-1] - stamps[0]) / STEP * FRAME <= now + MAX_LATE * FRAME


def take(playout: Playout, now: float) -> list[PlayoutOutput]:
    """As whoever plays does: the short way where there is one."""
    frame = playout.take_next(now)
    return playout.handle_timeout(now) if frame is None else [frame]


@given(
    st.lists(
        st.one_of(
            st.tuples(
                st.just("add"),
                st.sampled_from("ab"),
                st.binary(max_size=2),
                st.booleans(),
                st.booleans(),
            ),
            st.tuples(st.just("wait"), st.floats(0, 0.3)),
            st.tuples(st.sampled_from(["flush", "pause", "resume"])),
        ),
        max_size=60,
    )
)
def test_the_short_ways_lead_to_the_same_place(steps: list[tuple[Any, ...]]) -> None:
    plain, short, now = opus(0.5), opus(0.5), 0.0
    for step, *details in steps:
        if step == "add":
            item, payload, last, live = details
            added = plain.add(item, payload, now, last=last, live=live)
            assert added == (
                short.add_next(item, payload, now, last=last, live=live)
                or short.add(item, payload, now, last=last, live=live)
            )
        elif step == "wait":
            until = now + details[0]
            while (due := plain.next_timeout()) is not None and due <= until:
                now = max(now, due)
                assert plain.handle_timeout(now) == take(short, now)
            now = until
        elif step == "flush":
            assert plain.flush("") == short.flush("")
        elif step == "pause":
            plain.pause()
            short.pause()
        else:
            plain.resume(now)
            short.resume(now)
        assert plain.next_timeout() == short.next_timeout()
        assert (plain.waiting, plain.refused, plain.starved, plain.skipped) == (
            short.waiting,
            short.refused,
            short.starved,
            short.skipped,
        )


def test_the_short_way_is_the_usual_one() -> None:
    playout = opus()
    playout.add("a", b"0", 0.0)
    playout.handle_timeout(0.0)
    taken = 0
    for number in range(1, 101):
        assert playout.add_next("a", b"x", number * FRAME)
        now = number * FRAME + 0.001
        taken += playout.take_next(now) is not None or not playout.handle_timeout(now)
    assert taken == 96, "all but those with which it is told how far it is"


def test_a_frame_says_when_the_next_one_is_due() -> None:
    playout = opus()
    for _ in range(3):
        playout.add("a", b"x", 5.0)
    playout.handle_timeout(5.0)
    frame = playout.take_next(5.0 + FRAME)
    assert frame is not None
    assert frame.until == playout.next_timeout()
