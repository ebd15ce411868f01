"""What the independent client's words are taken for."""

from __future__ import annotations

from bench.spot_check import judge


def test_only_its_own_tone_is_good() -> None:
    assert judge({"state": "connected", "frames": 90, "tone": 0.99}) == ""
    assert "tone 0.01" in judge({"state": "connected", "frames": 90, "tone": 0.01})
    assert "no call" in judge({"state": "", "frames": 0, "tone": 0.0})
    assert "closed" in judge({"state": "closed", "frames": 90, "tone": 0.99})
