"""The switchboard: another try for a transceiver that fails, hang-ups to the owner."""

from __future__ import annotations

import pytest

from ipc.messages.sessions import CreateSession, Problem, SessionRefused
from tests.support.signaling import (
    ANSWER,
    KEYS,
    OFFER,
    FakeTransceivers,
    entry,
    route,
    switchboard_with,
)
from workers.http.problems import ProblemKind, Refused

CREATE = CreateSession(offer=OFFER)


async def test_an_offer_becomes_a_session() -> None:
    line = FakeTransceivers()
    created = await switchboard_with(line, entry(0)).create(CREATE)
    assert created.answer == ANSWER
    assert line.sessions[created.session].offer == OFFER


async def test_a_silent_transceiver_costs_one_try() -> None:
    line = FakeTransceivers()
    line.silent.add("fake-0")
    created = await switchboard_with(line, entry(0), entry(1, sessions=9)).create(CREATE)
    assert created.session in line.sessions
    assert line.asked == {"fake-0": 1, "fake-1": 1}


async def test_two_silent_ones_are_the_end() -> None:
    line = FakeTransceivers()
    line.silent |= {"fake-0", "fake-1", "fake-2"}
    with pytest.raises(Refused) as refused:
        await switchboard_with(line, entry(0), entry(1), entry(2)).create(CREATE)
    assert refused.value.kind is ProblemKind.NO_ANSWER
    assert line.asked.total() == 2


async def test_a_single_silent_one_is_reported_as_such_not_as_full() -> None:
    line = FakeTransceivers()
    line.silent.add("fake-0")
    with pytest.raises(Refused) as refused:
        await switchboard_with(line, entry(0)).create(CREATE)
    assert refused.value.kind is ProblemKind.NO_ANSWER
    assert refused.value.kind.status == 504


async def test_a_transceiver_that_ends_while_it_is_asked_has_ended_the_session() -> None:
    line = FakeTransceivers()
    switchboard = switchboard_with(line, entry(0))
    created = await switchboard.create(CREATE)
    line.gone.add("fake-0")
    await switchboard.end(created.session)
    with pytest.raises(Refused) as refused:
        await switchboard.patch(created.session, "", ())
    assert refused.value.kind is ProblemKind.UNKNOWN_SESSION


async def test_a_transceiver_that_ends_while_it_is_offered_a_session_costs_one_try() -> None:
    line = FakeTransceivers()
    line.gone.add("fake-0")
    await switchboard_with(line, entry(0), entry(1, sessions=9)).create(CREATE)
    assert line.asked == {"fake-0": 1, "fake-1": 1}


@pytest.mark.parametrize("problem", [Problem.FULL, Problem.DRAINING])
async def test_one_that_became_full_meanwhile_costs_one_try(problem: Problem) -> None:
    line = FakeTransceivers()
    line.refusing["fake-0"] = SessionRefused(problem, "sorry")
    await switchboard_with(line, entry(0), entry(1, sessions=9)).create(CREATE)
    assert line.asked == {"fake-0": 1, "fake-1": 1}


@pytest.mark.parametrize("problem", [Problem.NOTHING_IN_COMMON, Problem.INTERNAL_ERROR])
async def test_what_lies_in_the_offer_is_not_tried_again(problem: Problem) -> None:
    line = FakeTransceivers()
    line.refusing["fake-0"] = SessionRefused(problem, "only video was offered")
    with pytest.raises(Refused, match="only video"):
        await switchboard_with(line, entry(0), entry(1, sessions=9)).create(CREATE)
    assert line.asked == {"fake-0": 1}


async def test_a_hang_up_goes_to_the_owner_even_while_it_drains() -> None:
    line = FakeTransceivers()
    switchboard = switchboard_with(line, entry(0, sessions=9), entry(1))
    created = await switchboard.create(CREATE)
    draining = switchboard_with(line, entry(0), entry(1, accepting=False))
    await draining.end(created.session)
    assert line.sessions == {}
    assert line.asked == {"fake-1": 2}
    with pytest.raises(Refused) as refused:
        await draining.end(created.session)
    assert refused.value.kind is ProblemKind.UNKNOWN_SESSION


FOREIGN = KEYS.mint(route(5), bytes(6))


@pytest.mark.parametrize(
    "session",
    [
        "",
        "rtc_7_",
        "rtc_7_" + "k" * 23,
        "rtc_7_" + "!" * 23,
        f"rtc_8_{FOREIGN}",
        f"rtc_7_{FOREIGN}",
        f"rtc_7_{FOREIGN}x",
        f"RTC_7_{FOREIGN}",
        "rtc_99999999999_" + FOREIGN,
        "rtc_7_" + "k" * 100_000,
    ],
)
async def test_ids_that_are_not_ours_ask_nobody(session: str) -> None:
    line = FakeTransceivers()
    with pytest.raises(Refused) as refused:
        await switchboard_with(line, entry(0)).end(session)
    assert refused.value.kind is ProblemKind.UNKNOWN_SESSION
    assert not line.asked


async def test_an_id_that_names_another_cluster_than_its_ufrag_is_not_ours() -> None:
    line = FakeTransceivers()
    switchboard = switchboard_with(line, entry(0))
    created = await switchboard.create(CREATE)
    assert switchboard.owner(created.session) is not None
    assert switchboard.owner(created.session.replace("rtc_7_", "rtc_8_")) is None


async def test_lines_to_transceivers_that_are_gone_are_let_go() -> None:
    line = FakeTransceivers()
    switchboard_with(line, entry(0), entry(4, accepting=False))
    assert line.kept == {"fake-0", "fake-4"}
