"""What the fleet knows of relays' addresses."""

from __future__ import annotations

import msgspec
import pytest

from config.ids import Endpoint
from ipc.messages.fleet import FleetHost, FleetView
from tests.support.signaling import other_host
from workers.signaling.site_health import MOST, Health, SiteHealth

HERE, THERE, ELSEWHERE = (Endpoint(f"203.0.113.{n}", 3478) for n in (1, 2, 3))


def host(number: int, *addresses: Endpoint, **more: object) -> FleetHost:
    crowded = bool(more.pop("crowded", False))
    made = other_host(number, **more)  # type: ignore[arg-type]
    relays = (Endpoint("10.0.0.1", 4000),)
    return msgspec.structs.replace(made, advertise=addresses, relays=relays, crowded=crowded)


def told(*hosts: FleetHost, own: tuple[Endpoint, ...] = ()) -> SiteHealth:
    health = SiteHealth(own)
    health.update(FleetView(hosts))
    return health


@pytest.mark.parametrize(
    ("changed", "health"),
    [
        ({}, Health.WELL),
        ({"state": "degraded"}, Health.WELL),
        ({"accepting": False}, Health.WELL),  # relays have nothing to do with that
        ({"state": "cordoned"}, Health.LEAVING),
        ({"state": "draining"}, Health.LEAVING),
        ({"state": "starting"}, Health.LEAVING),
        ({"crowded": True}, Health.LEAVING),
        ({"fresh": False}, Health.DEAD),
    ],
)
def test_a_host_is_what_its_addresses_are(changed: dict[str, object], health: Health) -> None:
    assert told(host(1, THERE, **changed)).of(THERE) is health


def test_an_address_of_which_nobody_has_spoken_is_well() -> None:
    assert told().of(ELSEWHERE) is Health.WELL


def test_one_that_nobody_has_any_more_is_dead_until_somebody_has_it_again() -> None:
    health = told(host(1, THERE))
    health.update(FleetView(()))
    assert health.of(THERE) is Health.DEAD
    health.update(FleetView((host(2, THERE),)))
    assert health.of(THERE) is Health.WELL


def test_of_hosts_that_share_an_address_the_best_counts() -> None:
    sharing = told(host(1, THERE, fresh=False), host(2, THERE, state="draining"))
    assert sharing.of(THERE) is Health.LEAVING
    assert sharing.best((THERE, HERE)) is Health.WELL
    assert sharing.best(()) is Health.DEAD


def test_a_host_without_relays_does_not_vouch_for_those_of_others() -> None:
    alone = msgspec.structs.replace(host(2, THERE), relays=())
    health = told(host(1, THERE), alone)
    health.update(FleetView((alone,)))
    assert health.of(THERE) is Health.DEAD


def test_our_own_addresses_are_well_as_long_as_we_are() -> None:
    health = told(host(1, HERE, fresh=False), own=(HERE,))
    assert health.of(HERE) is Health.WELL
    health.drain(draining=True)
    assert health.of(HERE) is Health.LEAVING
    health.drain(draining=False)
    assert health.of(HERE) is Health.WELL


def test_what_is_remembered_has_a_bound() -> None:
    health = told(host(1, THERE))
    health.update(FleetView((host(1, *(Endpoint("203.0.113.9", n) for n in range(1, MOST + 1))),)))
    health.update(FleetView(()))
    assert health.of(THERE) is Health.WELL  # forgotten
    assert health.of(Endpoint("203.0.113.9", MOST)) is Health.DEAD
