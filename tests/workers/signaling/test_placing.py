"""Which back end, with which claims and limits."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from config.ids import Endpoint
from workers.http.problems import ProblemKind, Refused
from workers.signaling.client_address import Client
from workers.signaling.grants import Grant, Permit
from workers.signaling.offers import Offer
from workers.signaling.placing import MAX_HINT, Rules, make_request
from workers.signaling.sites import Site, Sites
from workers.signaling.steering import Steering
from workers.signaling.whereabouts import Headers, Whereabouts

RULES = Rules("echo", frozenset({"echo", "agent", "menu"}))


def backend(
    asked: str = "", model: str = "", session: dict[str, Any] | None = None, **grant: Any
) -> str:
    offer = Offer("v=0", session or {})
    made, _ = make_request(
        RULES, offer, {}, backend=asked, model=model, permit=Permit(Grant(**grant))
    )
    return made.backend


def test_which_back_end() -> None:
    assert backend() == "echo"
    assert backend("agent") == "agent"
    assert backend(session={"model": "agent"}) == "agent"
    assert backend(model="agent") == "agent"
    assert backend("menu", session={"model": "agent"}) == "menu"
    assert backend(session={"model": "gpt-realtime"}, model="gpt-realtime") == "echo"
    assert backend(session={"model": ["agent"]}) == "echo"
    assert backend(session={"model": "agent"}, backend="menu") == "menu"


def test_the_answer_names_relays_near_the_client() -> None:
    near = Site("near", ((Endpoint("203.0.113.1", 3478),),), countries=frozenset({"DE"}))
    far = Site("far", ((Endpoint("203.0.113.2", 3478),),))
    steering = Steering(Sites([far, near]), 1, Headers("cf-ipcountry"))
    rules = RULES._replace(steering=steering)
    proxied = Client(ip_address("192.0.2.1"), forwarded=True, vouched=True)
    headers = {"cf-ipcountry": "DE"}
    made, where = make_request(rules, Offer("v=0", {}), headers, client=proxied)
    assert made.advertise == near.hosts[0]
    assert where == Whereabouts(country="DE")
    assert make_request(rules, Offer("v=0", {}), headers).request.advertise == far.hosts[0]
    assert make_request(RULES, Offer("v=0", {}), headers).request.advertise == ()


@pytest.mark.parametrize(
    ("asked", "granted", "kind"),
    [("x" * 500, "", ProblemKind.UNKNOWN_BACKEND), ("agent", "menu", ProblemKind.FORBIDDEN)],
)
def test_a_back_end_that_one_does_not_get(asked: str, granted: str, kind: ProblemKind) -> None:
    with pytest.raises(Refused) as refused:
        backend(asked, "", None, backend=granted)
    assert refused.value.kind is kind
    assert len(refused.value.detail) < 120


def test_claims_of_both_and_what_the_server_said_holds() -> None:
    grant = Grant(
        key="shop",
        secret="5e",
        session={"model": "menu", "audio": {"voice": "b"}},
        metadata={"user": 7},
    )
    offer = Offer("v=0", {"model": "agent", "audio": {"voice": "a", "rate": 8}})
    made, _ = make_request(RULES, offer, {}, permit=Permit(grant))
    assert made.backend == "menu"
    assert made.claims == {
        "session": {"model": "menu", "audio": {"voice": "b", "rate": 8}},
        "metadata": {"user": 7},
        "key": "shop",
        "secret": "5e",
    }


def test_a_client_cannot_claim_what_a_server_says() -> None:
    offer = Offer("v=0", {"metadata": {"user": 1}, "key": "shop"})
    assert make_request(RULES, offer, {}).request.claims == {"session": offer.session}


def test_hints_are_short() -> None:
    headers = {"user-agent": "u" * 9000, "origin": "https://app.example"}
    made, _ = make_request(RULES, Offer("v=0", {}), headers)
    assert (made.user_agent, made.origin) == ("u" * MAX_HINT, "https://app.example")
    assert made.claims == {}


@pytest.mark.parametrize(
    ("granted", "configured", "asked"),
    [
        (None, 0.0, None),
        (None, 60.0, None),
        (30.0, 0.0, 30.0),
        (30.0, 60.0, 30.0),
        (90.0, 60.0, None),
        (0.0, 60.0, None),
        (0.0, 0.0, 0.0),
    ],
)
def test_a_grant_can_only_be_stricter_than_the_operator(
    granted: float | None, configured: float, asked: float | None
) -> None:
    rules = RULES._replace(max_duration=configured, idle_timeout=configured)
    grant = Grant(max_duration=granted, idle_timeout=granted)
    made, _ = make_request(rules, Offer("v=0", {}), {}, permit=Permit(grant))
    assert made.max_duration == asked
    assert made.idle_timeout == asked
