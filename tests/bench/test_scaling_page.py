"""What docs/scaling.md says of a core is what the saved runs say."""

from __future__ import annotations

from bench.fleet import capacity
from bench.scaling_page import PAGE, core_section, rewrite

SCALING = PAGE.read_text(encoding="utf-8")


def test_the_page_is_as_it_would_be_written() -> None:
    assert core_section(capacity()) in SCALING  # python -m bench.scaling_page
    assert rewrite(SCALING, capacity()) == SCALING


def test_nothing_else_is_touched() -> None:
    changed = rewrite(SCALING, {**capacity(), "pcm_sessions_per_core": 71})
    assert ": 71 sessions a core." in changed
    assert changed.partition("## The registry")[2] == SCALING.partition("## The registry")[2]
    assert changed.count("## A core") == 1
