"""Routes: only live ones have a link, and a stale boot is told from an unknown one."""

from hypothesis import given
from hypothesis import strategies as st

from config.ids import ClusterId, Endpoint, Epoch, Route, TransceiverId
from workers.relay.core.interface import RouteAdded, RouteRemoved
from workers.relay.core.routes import RouteTable, route_changes
from workers.wire.types import DropReason


def route(transceiver: int, epoch: int = 1) -> Route:
    return Route(ClusterId(0), TransceiverId(transceiver), Epoch(epoch))


def link(port: int) -> Endpoint:
    return Endpoint("127.0.0.1", port)


def test_a_live_route_has_its_link() -> None:
    routes = RouteTable()
    routes.add(route(1), link(1))
    assert routes.link(route(1)) == link(1)
    assert routes.link(route(2)) is None


def test_why_not() -> None:
    routes = RouteTable()
    routes.add(route(1, 2), link(1))
    assert routes.why_not(route(1, 1)) is DropReason.STALE_EPOCH
    assert routes.why_not(route(2, 1)) is DropReason.UNKNOWN_ROUTE
    assert routes.remove(route(1, 2))
    assert not routes.remove(route(1, 2))
    assert routes.why_not(route(1, 1)) is DropReason.UNKNOWN_ROUTE


def test_two_boots_at_once() -> None:
    routes = RouteTable()
    routes.add(route(1, 1), link(1))
    routes.add(route(1, 2), link(2))
    routes.add(route(1, 2), link(3))
    routes.remove(route(1, 1))
    assert routes.why_not(route(1, 1)) is DropReason.STALE_EPOCH
    assert routes.link(route(1, 2)) == link(3)


truths = st.dictionaries(
    st.builds(route, st.integers(0, 4), st.integers(0, 2)), st.builds(link, st.integers(1, 3))
)


@given(truths, truths)
def test_changes_lead_from_one_truth_to_the_next(
    old: dict[Route, Endpoint], new: dict[Route, Endpoint]
) -> None:
    state = dict(old)
    for change in route_changes(old, new):
        match change:
            case RouteRemoved(route=gone):
                del state[gone]
            case RouteAdded(route=live, link=at):
                assert live not in state
                state[live] = at
    assert state == new
