"""How long a session waits for a back end: longer if one had it."""

from __future__ import annotations

from ipc.backend.messages import SessionStarted
from workers.transceiver.backends.offer import HOLD, PATIENCE, Offer


def test_what_nobody_has_accepted_has_no_more_time_than_before() -> None:
    offer = Offer(SessionStarted("s", "agent"), waits_since=10.0)
    offer.free("busy", 11.0)
    assert (offer.why, offer.until, offer.started.resumed) == ("busy", 10.0 + PATIENCE, False)


def test_what_somebody_had_waits_for_him_to_start_again() -> None:
    offer = Offer(SessionStarted("s", "agent"), waits_since=10.0, accepted=True)
    offer.free("gone", 60.0)
    assert not offer.accepted
    assert (offer.until, offer.started.resumed) == (60.0 + HOLD, True)
