"""From an offer and what its caller may, to what a transceiver is asked: back end, claims, limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from ipc.messages.sessions import CreateSession
from workers.http.problems import ProblemKind, Refused
from workers.signaling.client_address import NOBODY, Client
from workers.signaling.grants import ANYONE, Grant, Permit
from workers.signaling.objects import merge_objects
from workers.signaling.offers import Offer
from workers.signaling.steering import Steering
from workers.signaling.whereabouts import NOWHERE, Whereabouts

MAX_HINT: Final = 256
"""Characters of a header that back ends are told."""


class Wanted(NamedTuple):
    """A call, and where its client is."""

    request: CreateSession
    where: Whereabouts = NOWHERE


class Rules(NamedTuple):
    """The operator's part in every call."""

    default: str = "echo"
    """The back end of calls that name none."""
    backends: frozenset[str] = frozenset({"echo", "echo-pcm"})
    max_duration: float = 0.0
    idle_timeout: float = 0.0
    """Limits of the configuration, seconds, 0 for none: a grant can only be stricter."""
    steering: Steering = Steering()
    """Which relays the answer names."""


def make_request(
    rules: Rules,
    offer: Offer,
    headers: Mapping[str, str],
    *,
    backend: str = "",
    model: str = "",
    client: Client = NOBODY,
    permit: Permit = Permit(ANYONE),  # noqa: B008  # a value
) -> Wanted:
    """What a transceiver is asked, and for whom.

    `backend` is what the request names, `model` a name that may be one. Raises Refused (UNKNOWN_BACKEND,
    FORBIDDEN).
    """
    grant = permit.grant
    session = merge_objects(offer.session, grant.session)
    where = rules.steering.locate(client, headers)
    request = CreateSession(
        offer=offer.sdp,
        backend=_choose(rules, permit, backend, (session.get("model"), model)),
        max_duration=_stricter(grant.max_duration, rules.max_duration),
        idle_timeout=_stricter(grant.idle_timeout, rules.idle_timeout),
        claims=_claims(session, grant),
        user_agent=headers.get("user-agent", "")[:MAX_HINT],
        origin=headers.get("origin", "")[:MAX_HINT],
        advertise=rules.steering.choose(client, where),
    )
    return Wanted(request, where)


def _choose(rules: Rules, permit: Permit, asked: str, models: tuple[object, ...]) -> str:
    if asked and asked not in rules.backends:
        raise Refused(ProblemKind.UNKNOWN_BACKEND, f"there is no back end {asked[:64]!r}")
    chosen = _wanted(rules, permit.grant, asked, models)
    if chosen not in rules.backends:  # what other hosts and providers grant may be no back end here
        raise Refused(ProblemKind.UNKNOWN_BACKEND, f"there is no back end {chosen[:64]!r}")
    if permit.backends and chosen not in permit.backends:
        raise Refused(ProblemKind.FORBIDDEN, f"the key {permit.grant.key!r} is not for {chosen!r}")
    return chosen


def _wanted(rules: Rules, grant: Grant, asked: str, models: tuple[object, ...]) -> str:
    if grant.backend:
        if asked not in ("", grant.backend):
            raise Refused(
                ProblemKind.FORBIDDEN, f"this secret is for {grant.backend!r}, not {asked!r}"
            )
        return grant.backend
    if asked:
        return asked
    # A model that is no back end of ours is left to the default one, which may know what it means.
    for model in models:
        if isinstance(model, str) and model in rules.backends:
            return model
    return rules.default


def _claims(session: dict[str, Any], grant: Grant) -> dict[str, Any]:
    claims: dict[str, Any] = {
        "session": session,
        "metadata": grant.metadata,
        "key": grant.key,
        "secret": grant.secret,
        "token": grant.token,
    }
    return {name: value for name, value in claims.items() if value}


def _stricter(granted: float | None, configured: float) -> float | None:
    """None leaves it to the transceiver, which has the same configuration."""
    if granted is None or (configured and (not granted or granted > configured)):
        return None
    return granted
