"""Who comes, who leaves, and who is whose successor."""

from __future__ import annotations

import pytest

from appliance.supervisor.core.fleet import Fleet
from appliance.supervisor.core.plan import Goal
from appliance.supervisor.core.spec import HostFacts, desired_workers
from appliance.supervisor.core.succession import KNOWN_WITHIN, Succession
from appliance.supervisor.core.worker import Worker
from config.ids import Role
from config.model import Config

HOST = HostFacts((0, 1))


def config(transceivers: int = 2, realtime: int = 1) -> Config:
    return Config.model_validate(
        {
            "transceiver": {"workers": transceivers},
            "realtime": {"url": "wss://x.example/" if realtime else "", "workers": realtime or 1},
        }
    )


def succession(wanted: Config, *roles: Role) -> tuple[Fleet, Succession]:
    fleet = Fleet(config(), desired_workers(config(), HOST))
    return fleet, Succession(fleet, wanted, desired_workers(wanted, HOST), roles)


def bring_all_up(it: Succession, fleet: Fleet) -> None:
    for _ in range(20):
        for worker in fleet:
            if worker.joining and not worker.life.has_process:
                worker.life.spawn(0.0)
                worker.life.ready(0.0)
        if it.bring_up(it.number, 0.0, lambda _: True):
            return
    raise AssertionError("it does not come up")


def test_nothing_to_do() -> None:
    _, it = succession(config())
    assert not it.is_needed
    assert (it.number, it.canaries, it.replaced, it.added, it.removed) == (0, 0, (), (), ())
    assert it.bring_up(0, 0.0, lambda _: False)


@pytest.mark.parametrize(
    ("wanted", "roles", "replaced", "added", "removed", "canaries"),
    [
        (config(3), [], (), ("transceiver-2",), (), 1),
        (config(1), [], (), (), ("transceiver-1",), 0),
        (config(2), [Role.TRANSCEIVER], ("transceiver-0", "transceiver-1"), (), (), 1),
        (
            config(3),
            [Role.TRANSCEIVER],
            ("transceiver-0", "transceiver-1"),
            ("transceiver-4",),
            (),
            1,
        ),
        (config(1), [Role.TRANSCEIVER], ("transceiver-0",), (), ("transceiver-1",), 1),
        (config(2), [Role.SIGNALING], ("signaling-0",), (), (), 1),
        # Transceivers learn at birth which realtime workers there are.
        (config(1, 2), [], ("transceiver-0",), ("realtime-1",), ("transceiver-1",), 2),
        (config(1, 0), [], ("transceiver-0",), (), ("realtime-0", "transceiver-1"), 1),
    ],
)
def test_who_comes_and_who_leaves(
    wanted: Config,
    roles: list[Role],
    replaced: tuple[str, ...],
    added: tuple[str, ...],
    removed: tuple[str, ...],
    canaries: int,
) -> None:
    fleet, it = succession(wanted, *roles)
    assert it.is_needed
    assert (it.replaced, it.added, it.removed, it.canaries) == (replaced, added, removed, canaries)
    bring_all_up(it, fleet)
    it.join()
    assert not any(worker.joining for worker in fleet)
    assert {w.name for w in fleet if w.retire_by is Goal.DRAIN} == {*replaced, *removed}
    for role in (Role.TRANSCEIVER, Role.REALTIME):
        number = sum(spec.role is role for spec in desired_workers(wanted, HOST))
        assert len(fleet.staying(role)) == number


def test_who_is_given_up_ends_and_nobody_else() -> None:
    fleet, it = succession(config(), Role.TRANSCEIVER)
    bring_all_up(it, fleet)
    it.give_up()
    assert [w.name for w in fleet if not w.stays] == ["transceiver-2", "transceiver-3"]


def test_a_transceiver_has_to_become_known_in_time() -> None:
    fleet, it = succession(config(), Role.TRANSCEIVER)

    def unknown(worker: Worker) -> bool:
        return False

    assert not it.bring_up(1, 0.0, unknown)
    (joining,) = [worker for worker in fleet if worker.joining]
    joining.life.spawn(0.0)
    assert not it.bring_up(1, 1.0, unknown)
    assert [it.deadline] == [None]
    joining.life.ready(2.0)
    assert not it.bring_up(1, 2.0, unknown)
    assert it.deadline == 2.0 + KNOWN_WITHIN
    assert it.failure(2.0 + KNOWN_WITHIN - 0.1) == ""
    assert "transceiver-2" in it.failure(2.0 + KNOWN_WITHIN)
    assert it.bring_up(1, 3.0, lambda _: True)
    assert [it.deadline] == [None]
