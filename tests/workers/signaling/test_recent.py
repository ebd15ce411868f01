"""What was placed lately counts for a while."""

from __future__ import annotations

from workers.signaling.recent import MEMORY, Recent


def test_placements_count_until_they_must_be_known() -> None:
    recent: Recent[str] = Recent()
    for now in (0.0, 1.0, 1.0):
        recent.add("a", now)
    recent.add("b", 2.0)
    assert (recent["a"], recent["b"], recent["c"]) == (3, 1, 0)
    recent.forget(MEMORY)
    assert recent["a"] == 2
    recent.forget(1.0 + MEMORY)
    assert (recent["a"], recent["b"]) == (0, 1)
