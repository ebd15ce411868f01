"""What other hosts are for this one's workers, and it for theirs; on the whole supervisor's core."""

from __future__ import annotations

from typing import Any

from appliance.supervisor.core.interface import Finished, KeepHosts, KeepNumbers, Spawn
from appliance.supervisor.core.neighbours import Neighbours
from config.ids import ClusterId, Endpoint, Epoch, HostId, Role, Route, TransceiverId
from config.model import Config
from ipc.messages.fleet import (
    Announce,
    FleetDoor,
    FleetHost,
    FleetPlace,
    FleetTransceiver,
    FleetView,
    IdsLeased,
)
from ipc.messages.lifecycle import Drain, Heartbeat, Ready, Stop, WorkerPhase
from ipc.messages.routes import ClusterRelays, Relays, RelaysApplied, Routes
from tests.support.supervision import Table, links_of

FLEET: dict[str, Any] = {
    "fleet": {"listen": ["10.0.0.1:3480"]},
    "transceiver": {"first_id": 40},
    "cluster": {"id": 7},
}
FAR = FleetTransceiver(Route(ClusterId(7), TransceiverId(1), Epoch(9)), Endpoint("10.0.0.2", 5000))


def other(name: str = "b", **more: Any) -> FleetHost:
    fields = {"relays": (Endpoint("10.0.0.2", 4000),), "transceivers": (FAR,)} | more
    return FleetHost(HostId(name * 16), ClusterId(fields.pop("cluster", 7)), "ready", **fields)


def table(**more: Any) -> Table:
    return Table(Config.model_validate(FLEET | more))


def routes(of: Table, relay: str = "relay-0") -> dict[Route, Endpoint]:
    told = [message for message in of.sent(relay) if isinstance(message, Routes)]
    return {live.route: live.link for live in told[-1].routes}


def test_without_a_fleet_there_is_no_worker_for_it() -> None:
    assert not [name for name in Table().states if name.startswith("fleet")]


def test_numbers_begin_where_the_operator_says() -> None:
    up = table()
    up.start()
    spawned = [s for s in up.take(Spawn) if s.spec.role is Role.TRANSCEIVER]
    assert [s.route.transceiver for s in spawned if s.route] == [40, 41]


def test_routes_of_other_hosts_reach_every_relay_and_their_relays_every_transceiver() -> None:
    up = table()
    up.start()
    up.outputs.clear()
    up.say("fleet-0", FleetView((other(),)))
    for relay in ("relay-0", "relay-1"):
        assert routes(up, relay)[FAR.route] == FAR.link
        assert len(routes(up, relay)) == 3
    for transceiver in ("transceiver-0", "transceiver-1"):
        (told,) = up.sent(transceiver)
        assert isinstance(told, Relays)
        assert told.links == (*links_of(2), Endpoint("10.0.0.2", 4000))
    up.outputs.clear()
    up.say("fleet-0", FleetView(()))
    assert FAR.route not in routes(up)


def test_the_same_again_is_told_to_nobody() -> None:
    up = table()
    up.start()
    up.say("fleet-0", FleetView((other(),)))
    up.outputs.clear()
    up.say("fleet-0", FleetView((other(sessions=5),)))
    assert not up.outputs


def test_what_routes_need_is_kept_and_nothing_less_is_told_at_a_start() -> None:
    up = table()
    up.start()
    up.outputs.clear()
    up.say("fleet-0", FleetView((other(),)))
    assert KeepHosts(FleetView((other(),))) in up.outputs
    up.outputs.clear()
    up.say("fleet-0", FleetView((other(sessions=5),)))
    assert not up.outputs
    known = Neighbours(up.config, HostId("a" * 16), (), FleetView((other(),)))
    assert known.routes == {FAR.route: FAR.link}


def test_other_clusters_and_our_own_echo_change_no_route() -> None:
    up = table()
    up.start()
    up.outputs.clear()
    echo = FleetHost(HostId(""), ClusterId(7), "ready", transceivers=(FAR,))
    up.say("fleet-0", FleetView((other(cluster=8), echo)))
    assert up.sent("signaling-0") == [FleetView((other(cluster=8),))]
    assert len(up.outputs) == 1


def test_what_we_know_ourselves_cannot_be_said_otherwise() -> None:
    up = table()
    up.start()
    own = up.core.transceivers()[0].route
    before = up.core._distribution.routes.message().routes
    up.outputs.clear()
    liar = FleetTransceiver(own, Endpoint("10.6.6.6", 6))
    up.say("fleet-0", FleetView((other(transceivers=(liar,)),)))
    assert up.core._distribution.routes.message().routes == before


def test_a_resize_waits_for_no_other_host() -> None:
    up = table()
    up.start()
    up.say("fleet-0", FleetView((other(),)))
    up.say("transceiver-0", RelaysApplied(2))
    up.say("transceiver-1", RelaysApplied(2))
    assert up.core._distribution.links_known(up.core._fleet)


def test_the_fleet_hears_what_this_host_is() -> None:
    up = table()
    up.start()
    told = [m for m in up.sent("fleet-0") if isinstance(m, Announce)][-1]
    assert told.own.cluster == 7
    assert told.own.relays == links_of(2)
    assert [t.route.transceiver for t in told.own.transceivers] == [40, 41]
    assert all(t.accepting for t in told.own.transceivers)
    assert told.own.max_sessions == 2000
    assert told.wanted == 0  # nobody leases where there is no Redis
    up.outputs.clear()
    up.die("transceiver-1")
    (told,) = (m for m in up.sent("fleet-0") if isinstance(m, Announce))
    assert len(told.own.transceivers) == 1
    up.outputs.clear()
    up.drain()
    told = [m for m in up.sent("fleet-0") if isinstance(m, Announce)][-1]
    assert told.own.state == "draining"
    assert not any(t.accepting for t in told.own.transceivers)


def test_it_is_told_every_second_for_the_numbers() -> None:
    up = table()
    up.start()
    up.outputs.clear()
    up.sleep(3.0)
    assert len([m for m in up.sent("fleet-0") if isinstance(m, Announce)]) == 3


def test_a_new_process_of_it_learns_what_the_old_one_knew() -> None:
    up = table()
    up.start()
    up.say("fleet-0", FleetView((other(),)))
    up.outputs.clear()
    up.die("fleet-0")
    up.hello("fleet-0")
    assert FleetView((other(),)) in up.sent("fleet-0")
    assert not [m for m in up.sent("relay-0") if isinstance(m, Routes)]


def test_a_transceiver_starts_when_it_has_a_number_and_not_before() -> None:
    redis = table(redis={"url": "redis://10.0.0.9"})
    redis.start()
    assert "transceiver-0" not in redis.current
    assert all("number" in w.note for w in redis.core.workers(0.0) if w.state == "stopped")
    asked = [m for m in redis.sent("fleet-0") if isinstance(m, Announce)][-1]
    assert (asked.wanted, asked.ids) == (12, ())
    leased = (TransceiverId(5), TransceiverId(3))
    redis.say("fleet-0", IdsLeased(leased))
    spawned = [s for s in redis.outputs if isinstance(s, Spawn) and s.route]
    assert [s.route.transceiver for s in spawned if s.route] == [5, 3]
    assert KeepNumbers(leased) in redis.outputs


def test_numbers_that_were_kept_serve_at_once() -> None:
    config = Config.model_validate(FLEET | {"redis": {"url": "redis://10.0.0.9"}})
    up = Table(config, ids=(TransceiverId(8), TransceiverId(9)))
    up.start()
    spawned = [s for s in up.take(Spawn) if s.route]
    assert [s.route.transceiver for s in spawned if s.route] == [8, 9]


def test_a_number_that_was_lost_is_used_until_its_process_ends() -> None:
    config = Config.model_validate(FLEET | {"redis": {"url": "redis://10.0.0.9"}})
    up = Table(config, ids=(TransceiverId(8), TransceiverId(9)))
    up.start()
    up.outputs.clear()
    up.say("fleet-0", IdsLeased((TransceiverId(8), TransceiverId(77))))
    assert not [s for s in up.outputs if isinstance(s, Spawn)]
    up.die("transceiver-1")
    (spawned,) = (s for s in up.outputs if isinstance(s, Spawn) and s.route)
    assert spawned.route is not None
    assert spawned.route.transceiver == 77


def one_kind(kind: str, **more: Any) -> Table:
    """A host without workers of that kind that has come up."""
    up = table(**{kind: {"workers": 0}}, **more)
    up.start()
    return up


def test_a_host_without_relays_takes_sessions_when_another_has_some() -> None:
    up = one_kind("relay")
    assert not [name for name in up.states if name.startswith("relay")]
    assert up.core.state.value == "degraded"
    assert "no relay" in up.core.missing
    assert up.accepting() == [False, False]
    up.say("fleet-0", FleetView((other(),)))
    assert (up.core.state.value, up.core.missing) == ("ready", "")
    assert up.accepting() == [True, True]
    assert up.sent("transceiver-0")[-1] == Relays(1, (Endpoint("10.0.0.2", 4000),))
    up.say("fleet-0", FleetView(()))
    assert up.accepting() == [False, False]


def test_what_replaces_a_transceiver_is_known_without_relays_that_could_say_so() -> None:
    up = one_kind("relay")
    up.say("fleet-0", FleetView((other(),)))
    up.die("transceiver-0")
    up.sleep(1.0)
    up.ready("transceiver-0")
    assert up.accepting() == [True, True]


def test_a_host_without_transceivers_has_no_signaling_and_forwards_to_others() -> None:
    up = one_kind("transceiver")
    assert {name.partition("-")[0] for name in up.states} == {"relay", "fleet"}
    assert up.core.state.value == "degraded"
    up.say("fleet-0", FleetView((other(),)))
    assert up.core.state.value == "ready"
    assert routes(up) == {FAR.route: FAR.link}
    announced = [m for m in up.sent("fleet-0") if isinstance(m, Announce)][-1]
    assert (announced.own.transceivers, announced.own.relays) == ((), links_of(2))


def test_it_leases_no_number_for_nobody() -> None:
    up = one_kind("transceiver", redis={"url": "redis://127.0.0.1"})
    assert {m.wanted for m in up.sent("fleet-0") if isinstance(m, Announce)} == {0}


def test_a_global_relay_needs_nobody_to_be_ready() -> None:
    config = {"transceiver": {"workers": 0}, "cluster": {"others": {7: ["127.0.0.1:3479"]}}}
    up = Table(Config.model_validate(config))
    up.start()
    assert up.core.state.value == "ready"


def test_relays_that_others_use_drain_while_the_fleet_says_that_they_live() -> None:
    up = one_kind("transceiver")
    up.say("fleet-0", FleetView((other(),)))
    up.outputs.clear()
    up.drain()
    timeout = up.config.supervisor.drain_timeout
    for name in ("relay-0", "relay-1"):
        assert [m for m in up.sent(name) if isinstance(m, Drain)] == [Drain(timeout)]
        assert not [m for m in up.sent("fleet-0") if isinstance(m, Drain | Stop)]
        up.die(name, 0)
    assert up.sent("fleet-0")[-1] == Stop()
    up.die("fleet-0", 0)
    assert up.take(Finished) == [Finished(0, "")]


def test_the_door_is_that_of_the_signaling_worker_that_serves() -> None:
    up = table(fleet={"listen": ["10.0.0.1:3480"], "calls": "10.0.0.1:3481"})
    up.start()

    def told() -> FleetDoor | None:
        return [m for m in up.sent("fleet-0") if isinstance(m, Announce)][-1].own.door

    assert told() is None  # it has not said by which key others know it
    up.say("signaling-0", Ready(door="k" * 40))
    at, first = Endpoint("10.0.0.1", 3481), up.current["signaling-0"].generation
    assert told() == FleetDoor(at, "k" * 40, first)
    up.die("signaling-0")
    # Whoever asks about a call of this host must find it all the same, also who has never heard of it.
    assert told() == FleetDoor(at, "k" * 40, first, open=False)
    up.hello("signaling-0")
    assert told() == FleetDoor(at, "k" * 40, first, open=False)
    up.say("signaling-0", Ready(door="k" * 40))
    later = told()
    assert later is not None
    assert later.open
    assert later.opened > first


def test_a_host_with_a_place_and_an_ingress_says_so_and_its_relays_hear_of_such_others() -> None:
    own = {
        "listen": ["10.0.0.1:3480"],
        "site": "here",
        "location": [50.0, 8.0],
        "countries": ["DE"],
    }
    ingress, link = Endpoint("10.2.0.1", 3479), Endpoint("10.2.0.1", 4000)
    up = table(
        fleet=own,
        cluster={"id": 7, "ingress": "10.0.0.1:3479", "others": {9: ["10.9.0.1:3479"]}},
        link={"address": "10.0.0.1", "mtu": 1372},
    )
    up.start()

    def told() -> FleetHost:
        return [m for m in up.sent("fleet-0") if isinstance(m, Announce)][-1].own

    assert told().place == FleetPlace("here", (50.0, 8.0), ("DE",))
    assert told().ingress == Endpoint("10.0.0.1", 3479)
    assert told().forwards == (9,)
    far = other(
        cluster=8, transceivers=(), relays=(link,), ingress=ingress, place=FleetPlace("far")
    )
    up.outputs.clear()
    up.say("fleet-0", FleetView((far,)))
    for relay in ("relay-0", "relay-1"):
        (routes,) = (m for m in up.sent(relay) if isinstance(m, Routes))
        assert routes.clusters == (ClusterRelays(ClusterId(8), (ingress,)),)
        assert routes.global_relays == ("10.2.0.1",)
    assert told().forwards == (8, 9)
    assert KeepHosts(FleetView((far,))) in up.outputs
    assert up.accepting() == [True, True]  # sessions wait for nobody to know that
    up.outputs.clear()
    up.say("fleet-0", FleetView(()))
    (routes,) = (m for m in up.sent("relay-0") if isinstance(m, Routes))
    assert (routes.clusters, routes.global_relays) == ((), ())


def test_a_place_in_front_of_other_clusters_needs_no_transceiver_of_its_own() -> None:
    up = one_kind("transceiver", fleet={"listen": ["10.0.0.1:3480"], "site": "here"})
    assert up.core.state.value == "degraded"
    up.say("fleet-0", FleetView((other(cluster=8, ingress=Endpoint("10.2.0.1", 3479)),)))
    assert up.core.state.value == "ready"


def test_signaling_hears_of_other_hosts_at_once_and_of_numbers_once_a_second() -> None:
    up = table()
    up.start()
    up.outputs.clear()
    up.say("fleet-0", FleetView((other(),)))
    up.say("fleet-0", FleetView((other(sessions=5, silence=0.7),)))
    assert up.sent("signaling-0") == [FleetView((other(),))]
    assert [each.sessions for each in up.core.hosts()] == [0, 5]
    up.outputs.clear()
    up.sleep(1.0)
    assert FleetView((other(sessions=5, silence=0.7),)) in up.sent("signaling-0")
    alone = Table()
    alone.start()
    alone.sleep(2.0)
    assert not [m for m in alone.sent("signaling-0") if isinstance(m, FleetView)]


def test_relays_are_crowded_until_there_is_some_room_again() -> None:
    up = table(relay={"max_flows": 5000, "workers": 2})
    up.start()

    def crowded_with(*flows: int) -> bool:
        for relay, count in enumerate(flows):
            up.say(f"relay-{relay}", Heartbeat(WorkerPhase.READY, count))
        return [m for m in up.sent("fleet-0") if isinstance(m, Announce)][-1].own.crowded

    assert not crowded_with(5000, 4000)
    assert crowded_with(5000, 4001)
    assert crowded_with(5000, 3500)
    assert not crowded_with(4000, 4000)
    assert not crowded_with(4500, 4500)
