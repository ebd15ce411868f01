from __future__ import annotations

import pytest

from workers.transceiver.core.states import TRANSITIONS, SessionState


def test_every_state_has_its_row() -> None:
    assert set(TRANSITIONS) == set(SessionState)


def test_closed_is_final_and_reachable_from_everywhere() -> None:
    assert not TRANSITIONS[SessionState.CLOSED]
    for state in set(SessionState) - {SessionState.CLOSED}:
        assert SessionState.CLOSED in TRANSITIONS[state]


@pytest.mark.parametrize("state", SessionState)
def test_no_state_is_entered_twice(state: SessionState) -> None:
    """A session only goes forward: from no state is there a way back to itself."""
    seen: set[SessionState] = set()
    ahead = set(TRANSITIONS[state])
    while ahead:
        following = ahead.pop()
        seen.add(following)
        ahead |= TRANSITIONS[following] - seen
    assert state not in seen


def test_keys_come_only_after_a_checked_path() -> None:
    assert SessionState.CONNECTED not in TRANSITIONS[SessionState.WAITING]
    assert SessionState.CONNECTED in TRANSITIONS[SessionState.CHECKING]
