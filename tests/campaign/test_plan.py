from __future__ import annotations

import pytest

from tests.campaign.plan import LASTING, WEIGHTS, Kind, plan


@pytest.mark.parametrize("seed", range(20))
def test_a_seed_decides_everything(seed: int) -> None:
    faults = plan(seed, 20, 40.0)
    assert faults == plan(seed, 20, 40.0)
    assert len(faults) == 20
    assert [fault.at for fault in faults] == sorted(fault.at for fault in faults)
    assert 0 <= faults[0].at < faults[-1].at < 40.0
    assert all(LASTING[0] <= fault.seconds <= LASTING[1] for fault in faults)


def test_all_of_them_come_sooner_or_later() -> None:
    assert set(WEIGHTS) == set(Kind)
    assert {fault.kind for seed in range(10) for fault in plan(seed, 20, 40.0)} == set(Kind)
