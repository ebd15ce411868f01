"""What was read before an install meets the flow; what was not meant for it does not."""

from __future__ import annotations

from config.ids import ClusterId, Endpoint, Epoch, FlowKey, Route, TransceiverId, Transport
from workers.relay.core.interface import InstallFlow, KnownFlow, LinkRecord, Upcall
from workers.relay.datapath.fresh import MOST, FreshFlows
from workers.wire.link import RecordType

HERE, LINK, OTHER = (Endpoint("192.0.2.1", port) for port in (3478, 1, 2))
ROUTE = Route(ClusterId(0), TransceiverId(1), Epoch(2))


def key(client: int) -> FlowKey:
    return FlowKey(Transport.UDP, Endpoint("198.51.100.1", client), HERE)


def install(label: int, client: int) -> InstallFlow:
    return InstallFlow(key(client), label, ROUTE, LINK)


def record(label: int, peer: Endpoint = LINK) -> LinkRecord:
    return LinkRecord(peer, RecordType.DATA, 0, label, b"x", None)


def upcall(client: int, flow: KnownFlow | None = None) -> Upcall:
    return Upcall(key(client), b"x", flow)


def test_they_meet_by_label_and_by_key() -> None:
    fresh = FreshFlows()
    assert fresh.meet_record(record(7)).flow is None
    assert fresh.meet_upcall(upcall(1)).flow is None
    fresh.install(install(7, 1))
    assert fresh.meet_record(record(7)).flow == key(1)
    assert fresh.meet_upcall(upcall(1)).flow == KnownFlow(7, ROUTE, LINK)
    assert fresh.meet_record(record(7, OTHER)).flow is None
    assert fresh.meet_upcall(upcall(2)).flow is None


def test_what_the_table_knew_stays() -> None:
    fresh = FreshFlows()
    fresh.install(install(7, 1))
    known = KnownFlow(3, ROUTE)
    assert fresh.meet_upcall(upcall(1, known)).flow is known


def test_what_has_left_the_table_is_met_no_more() -> None:
    fresh = FreshFlows()
    fresh.install(install(7, 1))
    fresh.install(install(8, 1))  # the same client: the last one counts
    fresh.forget(7)
    assert fresh.meet_upcall(upcall(1)).flow == KnownFlow(8, ROUTE, LINK)
    assert fresh.meet_record(record(7)).flow is None
    fresh.forget(8)
    fresh.forget(8)
    assert fresh.meet_upcall(upcall(1)).flow is None
    fresh.install(install(9, 1))
    fresh.clear()
    assert fresh.meet_upcall(upcall(1)).flow is None


def test_a_label_that_comes_again_leaves_nothing_of_the_last_one() -> None:
    fresh = FreshFlows()
    fresh.install(install(7, 1))
    fresh.install(install(7, 2))
    assert fresh.meet_upcall(upcall(1)).flow is None
    assert fresh.meet_record(record(7)).flow == key(2)


def test_there_are_never_too_many() -> None:
    fresh = FreshFlows()
    for number in range(MOST + 10):
        fresh.install(install(number, number))
    assert fresh.meet_upcall(upcall(9)).flow is None
    assert fresh.meet_record(record(9)).flow is None
    assert fresh.meet_upcall(upcall(10)).flow == KnownFlow(10, ROUTE, LINK)
    assert len(fresh._by_key) == len(fresh._by_label) == MOST
