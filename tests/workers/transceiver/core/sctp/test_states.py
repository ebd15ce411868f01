"""The table of states."""

from __future__ import annotations

from workers.transceiver.core.sctp.states import (
    OPENING,
    RECEIVES,
    SENDS,
    TRANSITIONS,
    AssociationState,
)


def test_every_state_leads_to_the_end_and_only_the_end_is_final() -> None:
    assert set(TRANSITIONS) == set(AssociationState)
    for state, after in TRANSITIONS.items():
        assert (AssociationState.GONE in after) == (state is not AssociationState.GONE)
        assert not after & OPENING - {AssociationState.COOKIE_WAIT, AssociationState.COOKIE_ECHOED}
    assert not OPENING & (SENDS | RECEIVES)
