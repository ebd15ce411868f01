"""What a finding was concluded from."""

from __future__ import annotations

from config.findings import Finding


def test_a_finding_rests_on_its_key_and_on_others_and_on_what_is_in_them() -> None:
    found = Finding(("relay", "listen", 1), "is bad", (("signaling", "listen"),))
    assert found.rests_on(("relay", "listen", 1))
    assert found.rests_on(("relay",))
    assert found.rests_on(("signaling", "listen", 0))
    assert not found.rests_on(("relay", "listen", 0))
    assert not found.rests_on(("link",))
