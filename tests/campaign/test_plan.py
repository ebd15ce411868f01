from __future__ import annotations

import pytest

from tests.campaign.plan import LASTING, NATURES, Kind, plan
from tests.support.tree import ROOT


@pytest.mark.parametrize("seed", range(20))
def test_a_seed_decides_everything(seed: int) -> None:
    faults = plan(seed, 20, 40.0)
    assert faults == plan(seed, 20, 40.0)
    assert len(faults) == 20
    assert [fault.at for fault in faults] == sorted(fault.at for fault in faults)
    assert 0 <= faults[0].at < faults[-1].at < 40.0
    for fault in faults:
        times = NATURES[fault.kind].times
        assert LASTING[0] * times <= fault.seconds <= LASTING[1] * times


def test_all_of_them_come_sooner_or_later() -> None:
    assert set(NATURES) == set(Kind)
    assert {fault.kind for seed in range(20) for fault in plan(seed, 30, 40.0)} == set(Kind)


@pytest.mark.parametrize("seed", range(20))
def test_a_long_one_has_each_of_them(seed: int) -> None:
    assert {fault.kind for fault in plan(seed, len(Kind), 40.0)} == set(Kind)
    assert len(plan(seed, 100, 40.0)) == 100


@pytest.mark.parametrize("kind", Kind)
def test_the_page_says_what_each_may_cost(kind: Kind) -> None:
    page = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")
    assert f"| {kind} | {NATURES[kind].may_lose} |" in page
