"""What only workers know, asked for operators: sessions, flows, and where a name leads.

Who has what is in the workers alone: transceivers know sessions, relays flows and, having the keys, where a
ufrag leads. Each is asked by rpc, all at the same time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final, TypeVar

import msgspec
import trio

from appliance.supervisor.core.places import list_places
from appliance.supervisor.core.tracing import (
    Kind,
    Subject,
    best,
    judge,
    owners,
    read_subject,
    relays,
)
from appliance.supervisor.core.worker import Place
from config.ids import ClusterId, Endpoint, Role, SessionId, WorkerName
from config.places import is_location
from ipc.log import Logger
from ipc.messages import Message
from ipc.messages.admin import Failure
from ipc.messages.details import FindSession, SessionDetail
from ipc.messages.fleet import FleetHost
from ipc.messages.flows import (
    DecodeUfrag,
    FlowList,
    FlowsRequest,
    FlowSummary,
    ListFlows,
    UfragDecoded,
)
from ipc.messages.places import PlaceList, PlacesRequest, RankedPlaces
from ipc.messages.sessions import (
    EndSession,
    ListSessions,
    SessionEnded,
    SessionList,
    SessionUnknown,
)
from ipc.messages.trace import TraceReply, TraceRequest, Verdict
from ipc.rpc import RpcClient, RpcFailed, RpcTimeout

ANSWER_WITHIN: Final = 2.0
"""Seconds a worker may take."""
MOST_FLOWS: Final = 4000
"""Rows of one reply: what fits into a message."""
MOST_SESSIONS: Final = 2500
"""The same of these, which are longer."""
_MAX_DETAIL: Final = 200
_PROBLEMS: Final = {"unknown_key": Verdict.UNKNOWN_KEY}
Reply = TypeVar("Reply")


class Inquiry:
    """Asks the workers that serve now."""

    def __init__(
        self,
        places: Callable[[], tuple[Place, ...]],
        hosts: Callable[[], tuple[FleetHost, ...]],
        cluster: ClusterId,
        log: Logger,
    ) -> None:
        """`hosts`: this one, then all others that are known."""
        self._places = places
        self._hosts = hosts
        self._cluster = cluster
        self._log = log

    async def sessions(self, limit: int) -> SessionList | Failure:
        """The sessions of all transceivers; one that does not answer in time is left out."""
        asked, limit = owners(self._places()), min(limit, MOST_SESSIONS)
        lists = _only(SessionList, await self._ask(asked, ListSessions(limit)))
        if asked and not lists:
            return Failure(why="no transceiver answered in time")
        rows = [
            msgspec.structs.replace(row, worker=name)
            for name, found in lists.items()
            for row in found.rows
        ]
        return SessionList(tuple(rows[:limit]), sum(found.total for found in lists.values()))

    async def find(self, question: FindSession) -> SessionDetail | SessionUnknown | Failure:
        """All about one session."""
        asked = owners(self._places())
        answers = await self._ask(asked, question)
        for name, detail in answers.items():
            if isinstance(detail, SessionDetail):
                return _with_names(detail, name, self._places())
        return self._unknown(question.session, asked, answers)

    async def end(self, request: EndSession) -> SessionEnded | SessionUnknown | Failure:
        """End one."""
        asked = owners(self._places())
        request = msgspec.structs.replace(request, detail=request.detail[:_MAX_DETAIL])
        answers = await self._ask(asked, request)
        ended = (answer for answer in answers.values() if isinstance(answer, SessionEnded))
        return next(ended, None) or self._unknown(request.session, asked, answers)

    async def flows(self, request: FlowsRequest) -> FlowList | Failure:
        """The flows of one relay, or of all."""
        everybody = relays(self._places())
        asked = [place for place in everybody if request.worker in ("", place.name)]
        if not asked:
            names = ", ".join(place.name for place in everybody) or "none"
            return Failure(f"no relay {request.worker!r} serves; there are: {names}")
        limit = max(0, min(request.limit, MOST_FLOWS))
        lists = await self._flows(asked, ListFlows(limit))
        if not lists:
            return Failure("no relay answered in time")
        rows = [row for found in lists for row in found.rows]
        return FlowList(tuple(rows[:limit]), sum(found.total for found in lists))

    async def places(self, request: PlacesRequest) -> PlaceList | Failure:
        """Hosts and places, as answers see them if signaling is here."""
        if not is_location(request.location):
            return Failure("latitude is -90 to 90, longitude -180 to 180")
        asked = [p for p in self._places() if p.role is Role.SIGNALING and p.rpc]
        answers = _only(RankedPlaces, await self._ask(asked, request))
        ranked = next((answer.places for answer in answers.values()), None)
        return list_places(self._hosts(), ranked)

    async def trace(self, request: TraceRequest) -> TraceReply | Failure:
        """Follow a ufrag, a session id or a client as far as it leads."""
        subject = read_subject(request.what)
        if subject is None:
            return Failure(
                f"{request.what[:80]!r} is no ufrag, no session id (rtc_...) and no ADDRESS:PORT"
            )
        follow = self._trace_client if subject.kind is Kind.CLIENT else self._trace_token
        return await follow(partial(TraceReply, request.what, subject.kind.value), subject)

    # --- a ufrag, or what is in a session id ----------------------------------------------------

    async def _trace_token(self, reply: Callable[..., TraceReply], subject: Subject) -> TraceReply:
        places = self._places()
        decoded = await self._ask(relays(places), DecodeUfrag(subject.token))
        answer = next(iter(_only(UfragDecoded, decoded).values()), None)
        if answer is None:
            return reply(Verdict.NO_ANSWER, "no relay is there to decode it")
        if answer.route is None:
            return reply(_PROBLEMS.get(answer.problem, Verdict.FORGED), _undecodable(answer))
        owner, verdict, why = judge(answer.route, self._cluster, places)
        reply = partial(reply, route=answer.route, worker="" if owner is None else owner.name)
        if owner is None or verdict is not Verdict.LIVE:
            return reply(verdict, why)
        if subject.kind is Kind.SESSION:
            question = FindSession(SessionId(f"rtc_{answer.route.cluster}_{subject.token}"))
        else:
            question = FindSession(ufrag=subject.token)
        return await self._trace_session(reply, owner, question, places)

    async def _trace_session(
        self,
        reply: Callable[..., TraceReply],
        owner: Place,
        question: FindSession,
        places: Sequence[Place],
    ) -> TraceReply:
        answers = await self._ask([owner], question)
        match answers.get(owner.name):
            case SessionDetail() as detail:
                detail = _with_names(detail, owner.name, places)
                return reply(
                    Verdict.LIVE, flows=await self._flows_of(detail, places), session=detail
                )
            case SessionUnknown(reason=reason) if reason is not None:
                return reply(Verdict.ENDED, f"the session is over: {reason.value}")
            case SessionUnknown():
                why = f"{owner.name} has no such session: it is long over, or never was"
                return reply(Verdict.NO_SESSION, why)
            case _:
                return reply(Verdict.NO_ANSWER, f"{owner.name} did not answer in time")

    async def _flows_of(
        self, detail: SessionDetail, places: Sequence[Place]
    ) -> tuple[FlowSummary, ...]:
        """The relays' flows of the clients that this session has heard from, if they lead to its owner."""
        clients = {Endpoint.parse(path.path.partition(">")[0]) for path in detail.paths}
        rows: list[FlowSummary] = []
        ways = {(path.worker, path.label) for path in detail.paths}
        for client in clients:
            lists = await self._flows(relays(places), ListFlows(client=client))
            rows += [row for found in lists for row in found.rows]
        # A relay has another link address for TCP, which nobody here knows as its own.
        return tuple(r for r in rows if {(r.worker, r.label), ("", r.label)} & ways)

    # --- a client -------------------------------------------------------------------------------

    async def _trace_client(self, reply: Callable[..., TraceReply], subject: Subject) -> TraceReply:
        places = self._places()
        asked = relays(places)
        lists = await self._flows(asked, ListFlows(client=subject.client))
        flows = tuple(row for found in lists for row in found.rows)
        flow = best(flows)
        if flow is None:
            if len(lists) < len(asked) or not asked:
                return reply(Verdict.NO_ANSWER, f"{len(lists)} of {len(asked)} relays answered")
            why = (
                "no relay has a flow of that client: silent for too long, refused, never here, or it "
                "comes by a Global Relay (tandem sessions)"
            )
            return reply(Verdict.NO_FLOW, why)
        reply = partial(reply, route=flow.route, flows=flows)
        owner, verdict, why = judge(flow.route, self._cluster, places)
        if verdict is Verdict.OTHER_CLUSTER and flow.link is not None:
            why += f"; its flow goes on to {flow.link}, where that cluster can be asked"
        if owner is None or verdict is not Verdict.LIVE:
            return reply(verdict, why)
        reply = partial(reply, worker=owner.name)
        if flow.state == "pending":
            why = (
                f"{flow.worker} waits until {owner.name} vouches for it: no check had the right key"
            )
            return reply(Verdict.PENDING, why)
        link = next((place.link for place in places if place.name == flow.worker), None)
        question = FindSession(relay=link, label=flow.label, client=flow.client)
        return await self._trace_session(reply, owner, question, places)

    # --- asking ---------------------------------------------------------------------------------

    async def _flows(self, asked: Iterable[Place], question: ListFlows) -> list[FlowList]:
        answers = _only(FlowList, await self._ask(asked, question))
        return [
            FlowList(
                tuple(msgspec.structs.replace(row, worker=name) for row in found.rows), found.total
            )
            for name, found in answers.items()
        ]

    def _unknown(
        self, session: SessionId, asked: Sequence[Place], answers: dict[WorkerName, Message]
    ) -> SessionUnknown | Failure:
        silent = [place.name for place in asked if place.name not in answers]
        if silent:
            return Failure(f"{', '.join(silent)} did not answer in time; no other has that session")
        unknown = [answer for answer in answers.values() if isinstance(answer, SessionUnknown)]
        return next((u for u in unknown if u.reason), SessionUnknown(session))

    async def _ask(self, asked: Iterable[Place], question: Message) -> dict[WorkerName, Message]:
        """What those say that answer in time, in the order in which they are asked."""
        answers: dict[WorkerName, Message | None] = {}
        async with trio.open_nursery() as nursery:
            for place in asked:
                answers[place.name] = None
                nursery.start_soon(self._ask_one, place, question, answers)
        return {name: answer for name, answer in answers.items() if answer is not None}

    async def _ask_one(
        self, place: Place, question: Message, answers: dict[WorkerName, Message | None]
    ) -> None:
        with RpcClient(place.rpc) as client:
            try:
                answers[place.name] = await client.call(question, within=ANSWER_WITHIN)
            except (RpcTimeout, RpcFailed) as error:
                asked = type(question).__name__
                self._log.warning("no answer", of=place.name, asked=asked, why=str(error))


def _only(kind: type[Reply], answers: Mapping[WorkerName, Message]) -> dict[WorkerName, Reply]:
    return {name: answer for name, answer in answers.items() if isinstance(answer, kind)}


def _with_names(detail: SessionDetail, owner: str, places: Iterable[Place]) -> SessionDetail:
    """With the names of workers, which those do not know of each other."""
    names = {place.link: place.name for place in places if place.link is not None}
    paths = tuple(
        msgspec.structs.replace(path, worker=names.get(path.relay, "")) if path.relay else path
        for path in detail.paths
    )
    summary = msgspec.structs.replace(detail.summary, worker=owner)
    return msgspec.structs.replace(detail, summary=summary, paths=paths)


def _undecodable(answer: UfragDecoded) -> str:
    if answer.problem == "unknown_key":
        return "its first character names a key that this host does not have"
    what = {
        "length": "it has not the length of one of ours",
        "alphabet": "it has characters that ours never have",
        "range": "it stands for a number that is too big",
        "check": "it was not sealed with that key",
    }
    return f"no key of this host made it: {what.get(answer.detail, answer.detail)}"
