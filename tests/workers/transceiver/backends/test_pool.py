"""Which back end has which session, without a socket."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipc.backend.codec import encode_batch
from ipc.backend.messages import (
    HEARTBEAT,
    SILENCE,
    Accept,
    AudioFormat,
    AudioIn,
    AudioOut,
    Credit,
    Encoding,
    Error,
    ErrorCode,
    FromBackend,
    HangUp,
    Heartbeat,
    Hello,
    Reject,
    SessionEnded,
    SessionStarted,
)
from workers.transceiver.backends.endpoints import MAX_TOLD
from workers.transceiver.backends.links import LOOK
from workers.transceiver.backends.offer import ANSWER_WITHIN, HOLD, PATIENCE
from workers.transceiver.backends.pool import (
    GREET_EVERY,
    Accepted,
    Pool,
    PoolOutput,
    Send,
    Unplaced,
)
from workers.wire.types import DropReason

OURS = Hello("transceiver-0", instance="t")
A, B = "tcp://a", "tcp://b"


def pool(*endpoints: str) -> Pool:
    return Pool(OURS, {"agent": endpoints or (A, B)})


def say(it: Pool, endpoint: str, *items: FromBackend, now: float = 0.0) -> list[PoolOutput]:
    return it.handle(endpoint, encode_batch(items), now)


def started(name: str) -> SessionStarted:
    return SessionStarted(name, "agent")


def live(*endpoints: str, capacity: int = 0) -> Pool:
    it = pool(*endpoints)
    for endpoint in endpoints or (A, B):
        say(it, endpoint, Hello(endpoint, instance="1", capacity=capacity), Credit(100))
    return it


def offers(outputs: list[PoolOutput]) -> list[tuple[str, SessionStarted]]:
    return [
        (output.endpoint, item)
        for output in outputs
        if isinstance(output, Send)
        for item in output.items
        if isinstance(item, SessionStarted)
    ]


def test_we_say_hello_until_somebody_answers_and_then_stay_in_touch() -> None:
    it = pool(A)
    assert it.handle_timeout(0.0) == [Send(A, (OURS,))]
    assert it.handle_timeout(HEARTBEAT) == [Send(A, (OURS,))]
    say(it, A, Hello("a", instance="1"), now=HEARTBEAT)
    assert it.live("agent") == 1
    assert it.handle_timeout(2 * HEARTBEAT) == [Send(A, (Heartbeat(),))]


def test_sessions_go_where_the_fewest_are() -> None:
    it = live()
    for number in range(10):
        it.start(started(f"s{number}"), 0.0)
    assert (it.load(A), it.load(B)) == (5, 5)


def test_hellos_of_ever_new_instances_are_greeted_now_and_then() -> None:
    """Each greeting offers all its sessions anew: a batch of hellos must not become millions of offers."""
    it = live(A)
    for number in range(50):
        it.start(started(f"s{number}"), 0.0)
        say(it, A, Accept(f"s{number}"))
    hellos = [Hello("a", instance=f"new {number}") for number in range(1000)]
    assert offers(say(it, A, *hellos, now=GREET_EVERY / 2)) == []
    assert it.live("agent") == 0
    # It is asked who it is as anybody is who is not there, and its answer counts.
    assert it.handle_timeout(2 * HEARTBEAT) == [Send(A, (OURS,))]
    assert len(offers(say(it, A, *hellos, now=2 * HEARTBEAT))) == 50
    assert it.live("agent") == 0


def test_mistakes_without_number_are_told_now_and_then_and_all_counted() -> None:
    it = live(A)
    mistakes = [HangUp("nobody")] * 1000
    assert len(say(it, A, *mistakes, now=10.0)) == MAX_TOLD
    assert say(it, A, *mistakes, now=10.5) == []
    assert len(say(it, A, *mistakes, now=11.0)) == MAX_TOLD
    assert it.stats(A).mistakes == {"unknown_session": 3000}


def test_a_full_back_end_gets_no_more() -> None:
    it = live(A, capacity=2)
    for number in range(3):
        it.start(started(f"s{number}"), 0.0)
    assert it.load(A) == 2
    assert Unplaced("s2", "no back end is there") in it.handle_timeout(PATIENCE)


def test_a_session_that_nobody_is_there_for_waits_a_little() -> None:
    it = pool(A)
    it.start(started("s"), 0.0)
    outputs = say(it, A, Hello("a", instance="1"), now=1.0)
    assert offers(outputs) == [(A, started("s"))]


def test_accept_opens_the_way_for_audio_both_ways() -> None:
    it = live(A)
    it.start(started("s"), 0.0)
    assert it.say("s", AudioIn("s", 0, b"x"), 0.0) is None
    assert it.holder("s") == ""
    pcm = AudioFormat(Encoding.PCM, 16_000)
    accept = Accept("s", pcm, speech=True)
    assert say(it, A, accept) == [Accepted(accept, pcm, False)]
    assert it.say("s", AudioIn("s", 0, b"x"), 0.0) == A
    assert (it.holder("s"), it.holder("another")) == (A, "")
    out = AudioOut("s", b"y", "item")
    assert say(it, A, out) == [out]


def test_audio_that_comes_before_accept_is_counted_for_who_accepts_at_last() -> None:
    it = live(A, B)
    it.start(started("s"), 0.0)
    it.say("s", AudioIn("s", 0, b"x"), 0.0)
    it.say("s", AudioIn("s", 20, lost=20), 0.0)
    it.miss("s")
    say(it, A, Reject("s"))
    it.miss("s")
    say(it, B, Accept("s"))
    it.say("s", AudioIn("s", 40, b"x"), 0.0)
    assert (it.stats(A).before_accept, it.stats(B).before_accept) == (0, 3)
    assert it.dropped == {}


def test_audio_that_nobody_ever_accepts_is_dropped() -> None:
    it = live(A)
    it.start(started("s"), 0.0)
    it.miss("s")
    it.miss("s")
    it.end(SessionEnded("s", "hangup"), 0.1)
    it.miss("s")
    assert it.dropped == {DropReason.NOT_ACCEPTED: 3}
    assert it.stats(A).before_accept == 0


def test_audio_stops_when_credit_is_used_up_and_nothing_else_does() -> None:
    it = pool(A)
    say(it, A, Hello("a", instance="1"), Credit(1))
    it.start(started("s"), 0.0)
    say(it, A, Accept("s"))
    assert it.say("s", AudioIn("s", 0), 0.0)
    assert it.say("s", AudioIn("s", 20), 0.0) is None
    assert it.stats(A).without_credit == 1
    say(it, A, Credit(5))
    assert it.say("s", AudioIn("s", 40), 0.0)
    say(it, A, Credit(-1_000_000))
    assert it.say("s", AudioIn("s", 60), 0.0) is None
    assert it.end(SessionEnded("s", "hangup"), 0.0) == [Send(A, (SessionEnded("s", "hangup"),))]


@pytest.mark.parametrize(("why", "told"), [("busy", "busy"), ("", "rejected")])
def test_a_reject_goes_to_the_next_and_then_to_nobody(why: str, told: str) -> None:
    it = live()
    ((first, _),) = offers(it.start(started("s"), 0.0))
    outputs = say(it, first, Reject("s", why))
    assert Send(first, (SessionEnded("s", "withdrawn", told),)) in outputs
    ((second, _),) = offers(outputs)
    assert {first, second} == {A, B}
    assert Unplaced("s", "busy too") in say(it, second, Reject("s", "busy too"))


def test_who_rejects_what_it_has_accepted_passes_it_on_with_all_the_time_there_is() -> None:
    it = live()
    ((first, _),) = offers(it.start(started("s"), 0.0))
    say(it, first, Accept("s"))
    for endpoint in (A, B):
        say(it, endpoint, Heartbeat(), now=60.0)
    ((second, offered),) = offers(say(it, first, Reject("s", "not mine"), now=60.0))
    assert second != first
    assert offered.resumed
    assert not it.has_taken("s")
    it.handle_timeout(60.1)
    (accepted,) = say(it, second, Accept("s"), now=60.2)
    assert isinstance(accepted, Accepted)
    assert accepted.resumed


def test_who_never_answers_loses_the_offer() -> None:
    it = live()
    ((first, _),) = offers(it.start(started("s"), 0.0))
    for endpoint in (A, B):
        say(it, endpoint, Heartbeat(), now=ANSWER_WITHIN)
    outputs = it.handle_timeout(ANSWER_WITHIN)
    assert Send(first, (SessionEnded("s", "withdrawn", "did not answer"),)) in outputs
    ((second, _),) = offers(outputs)
    assert second != first


def test_who_is_slow_keeps_the_offer_if_nobody_else_is_there() -> None:
    it = live(A)
    it.start(started("s"), 0.0)
    say(it, A, Heartbeat(), now=ANSWER_WITHIN)
    assert it.handle_timeout(ANSWER_WITHIN) == [Send(A, (Heartbeat(),))]
    assert it.next_timeout() > ANSWER_WITHIN
    (accepted,) = say(it, A, Accept("s"), now=PATIENCE - 0.1)
    assert isinstance(accepted, Accepted)


def test_who_is_slow_loses_the_offer_when_somebody_comes() -> None:
    it = pool()
    say(it, A, Hello(A, instance="1"))
    it.start(started("s"), 0.0)
    say(it, A, Heartbeat(), now=ANSWER_WITHIN)
    it.handle_timeout(ANSWER_WITHIN)
    later = ANSWER_WITHIN + 0.1
    say(it, B, Hello(B, instance="1"), now=later)
    assert it.next_timeout() <= later
    outputs = it.handle_timeout(later)
    assert Send(A, (SessionEnded("s", "withdrawn", "did not answer"),)) in outputs
    assert offers(outputs) == [(B, started("s"))]


def test_an_offer_that_nobody_answers_is_given_up() -> None:
    it = live(A)
    it.start(started("s"), 0.0)
    for now in (ANSWER_WITHIN, PATIENCE):
        say(it, A, Heartbeat(), now=now)
        outputs = it.handle_timeout(now)
    assert Send(A, (SessionEnded("s", "withdrawn", "did not answer"),)) in outputs
    assert Unplaced("s", "did not answer") in outputs


def test_a_call_that_somebody_had_is_held_until_he_is_back() -> None:
    it = live(A)
    it.start(started("s"), 0.0)
    say(it, A, Accept("s"))
    it.handle_timeout(SILENCE)
    assert it.live("agent") == 0
    back = SILENCE + HOLD - 0.1
    assert not any(isinstance(output, Unplaced) for output in it.handle_timeout(back))
    ((endpoint, session),) = offers(say(it, A, Hello(A, instance="2"), now=back))
    assert (endpoint, session.resumed) == (A, True)


def test_a_call_that_nobody_takes_any_more_is_given_up() -> None:
    it = live(A)
    it.start(started("s"), 0.0)
    say(it, A, Accept("s"))
    it.handle_timeout(SILENCE)
    assert Unplaced("s", "its back end is gone") in it.handle_timeout(SILENCE + HOLD)


def test_sessions_of_a_dead_back_end_go_on_at_another() -> None:
    it = live()
    for number in range(100):
        name = f"s{number}"
        ((endpoint, _),) = offers(it.start(started(name), 0.0))
        say(it, endpoint, Accept(name))
    say(it, B, Heartbeat(), now=1.0)
    outputs = it.handle_timeout(SILENCE)
    moved = offers(outputs)
    assert len(moved) == 50
    assert all(endpoint == B and session.resumed for endpoint, session in moved)
    assert it.load(A) == 0
    assert it.load(B) == 100
    name = moved[0][1].session
    (accepted,) = say(it, B, Accept(name), now=SILENCE)
    assert isinstance(accepted, Accepted)
    assert accepted.resumed


@given(st.integers(0, 150), st.integers(0, 49), st.integers(0, 9))
def test_whenever_a_back_end_dies_another_has_its_calls_within_two_seconds(
    dies: int, beat: int, look: int
) -> None:
    """By the protocol's own clock, in steps of 10 ms; looked after as often as the shell does.

    `beat`, `look`: when within their periods back ends say that they live, and the shell looks.
    """
    it = live()
    it.start(started("s"), 0.0)
    say(it, A, Accept("s"))
    heartbeat, looks = round(HEARTBEAT * 100), round(LOOK * 100)
    for step in range(dies + 200):
        now = step / 100
        offered = offers(it.handle_timeout(now)) if step % looks == look else []
        if step % heartbeat == beat:
            for endpoint in (A, B) if step < dies else (B,):
                say(it, endpoint, Heartbeat(), now=now)
        if offered:
            assert offered == [(B, msgspec.structs.replace(started("s"), resumed=True))]
            say(it, B, Accept("s"), now=now)
            return
    raise AssertionError(f"dead since {dies / 100} s, and nobody else has the call")


def test_a_restarted_back_end_is_another_one() -> None:
    it = live(A)
    it.start(started("s"), 0.0)
    say(it, A, Accept("s"))
    outputs = say(it, A, Hello("a", instance="2"), now=GREET_EVERY)
    ((endpoint, session),) = offers(outputs)
    assert (endpoint, session.resumed) == (A, True)


def test_the_same_one_saying_hello_again_keeps_its_sessions() -> None:
    it = live(A)
    it.start(started("s"), 0.0)
    say(it, A, Accept("s"))
    assert say(it, A, Hello(A, instance="1")) == []
    assert it.say("s", Heartbeat(), 0.0)


def test_one_that_is_reached_by_another_connection_is_offered_its_sessions_anew() -> None:
    it = live(A)
    it.start(started("s"), 0.0)
    say(it, A, Accept("s"))
    assert it.reconnected(A, GREET_EVERY) == [Send(A, (OURS,))]
    assert it.say("s", Heartbeat(), GREET_EVERY) is None
    ((endpoint, session),) = offers(say(it, A, Hello(A, instance="1"), now=GREET_EVERY))
    assert (endpoint, session.resumed) == (A, True)


def test_who_is_disconnected_has_lost_its_sessions_at_once() -> None:
    it = live()
    it.start(started("s"), 0.0)
    say(it, A, Accept("s"))
    assert it.disconnected(B, 0.0) == []
    assert it.disconnected(A, 0.1) == [], "nobody else is there"
    assert it.live("agent") == 0
    ((endpoint, session),) = offers(say(it, B, Hello(B, instance="1"), now=GREET_EVERY))
    assert (endpoint, session.resumed) == (B, True)
    assert it.disconnected(A, GREET_EVERY) == [], "it is known"


def test_another_version_is_told_so() -> None:
    it = pool(A)
    (output,) = say(it, A, Hello("old", version=9))
    assert isinstance(output, Send)
    (error,) = output.items
    assert isinstance(error, Error)
    assert error.code is ErrorCode.VERSION
    assert it.live("agent") == 0


def test_a_back_end_cannot_speak_for_sessions_of_others() -> None:
    it = live()
    ((owner, _),) = offers(it.start(started("s"), 0.0))
    other = B if owner == A else A
    (output,) = say(it, other, HangUp("s"))
    assert isinstance(output, Send)
    assert output.endpoint == other
    (error,) = output.items
    assert isinstance(error, Error)
    assert error.code is ErrorCode.UNKNOWN_SESSION
    (early,) = say(it, owner, HangUp("s"))
    assert isinstance(early, Send)


def test_a_format_that_does_not_exist_is_refused() -> None:
    it = live(A)
    it.start(started("s"), 0.0)
    outputs = say(it, A, Accept("s", AudioFormat(Encoding.PCM, 44_100)))
    assert outputs[-1] == Unplaced("s", "format")


def test_garbage_is_answered_and_harms_nobody() -> None:
    it = live(A)
    it.start(started("s"), 0.0)
    (output,) = it.handle(A, b"\xc1", 0.0)
    assert isinstance(output, Send)
    assert it.stats(A).mistakes == {"malformed": 1}
    assert it.live("agent") == 1


def test_a_batch_that_is_too_large_is_told_so() -> None:
    it = live(A)
    large = encode_batch([AudioOut("s", bytes(900_000))])
    (output,) = it.handle(A, b"\x92" + 2 * large[1:], 0.0)
    assert isinstance(output, Send)
    (error,) = output.items
    assert isinstance(error, Error)
    assert error.code is ErrorCode.TOO_LARGE
    assert it.stats(A).mistakes == {"too_large": 1}
    assert it.live("agent") == 1


STEPS = st.sampled_from(
    ["start", "end", "accept", "reject", "hello-a", "hello-b", "die-a", "wait", "audio", "beat-b"]
)


@given(st.lists(st.tuples(STEPS, st.integers(0, 3)), max_size=80))
def test_every_session_is_at_one_end_point_or_waits(steps: list[tuple[str, int]]) -> None:
    it = pool()
    now, living = 0.0, set[str]()
    instances = {A: 0, B: 0}
    for what, number in steps:
        name = f"s{number}"
        outputs: list[PoolOutput] = []
        match what:
            case "start" if name not in living:
                living.add(name)
                outputs = it.start(started(name), now)
            case "end" if name in living:
                living.discard(name)
                outputs = it.end(SessionEnded(name, "hangup"), now)
            case "accept" | "reject":
                item = Accept(name) if what == "accept" else Reject(name)
                for endpoint in (A, B):
                    outputs += say(it, endpoint, item, now=now)
            case "hello-a" | "die-a" | "hello-b":
                endpoint = B if what == "hello-b" else A
                instances[endpoint] += what == "die-a"
                hello = Hello(endpoint, instance=str(instances[endpoint]))
                outputs = say(it, endpoint, hello, Credit(9), now=now)
            case "beat-b":
                outputs = say(it, B, Heartbeat(), now=now)
            case "audio" if name in living:
                it.say(name, AudioIn(name, 0), now)
            case _:
                now += 0.4
                outputs = it.handle_timeout(now)
        living -= {output.session for output in outputs if isinstance(output, Unplaced)}
        assert it.load(A) + it.load(B) <= len(living)
        assert it.next_timeout() <= now + max(HEARTBEAT, HOLD)
    now += HOLD + SILENCE + 2 * ANSWER_WITHIN
    for _ in range(8):
        living -= {o.session for o in it.handle_timeout(now) if isinstance(o, Unplaced)}
        now += HOLD
    assert not living or it.live("agent") == 0 or it.load(A) + it.load(B) == len(living)
