"""Is the peer there?"""

from __future__ import annotations

from workers.transceiver.core.sctp.heartbeat import INTERVAL, Heartbeats


def test_a_heartbeat_and_its_answer() -> None:
    hearts = Heartbeats()
    assert not hearts.due(1e9)
    hearts.postpone(0.0, 0.5)
    assert hearts.at == INTERVAL + 0.5
    beat = hearts.beat(40.0, 0.5)
    assert hearts.at == 40.5
    assert hearts.answered(b"other", 40.1) is None
    assert hearts.answered(beat.info, 40.25) == 0.25
    assert hearts.answered(beat.info, 40.3) is None
