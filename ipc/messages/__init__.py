"""Every message that two processes exchange, as one closed, tagged union.

Fields are only ever added, with defaults; `Hello.version` changes when that is not enough.
"""

from __future__ import annotations

from typing import TypeAlias

from ipc.messages.admin import (
    CordonRequest,
    DiffRequest,
    Failure,
    ReloadReply,
    ReloadRequest,
    SessionsRequest,
    StatusReply,
    StatusRequest,
    UpgradeReply,
    UpgradeRequest,
)
from ipc.messages.details import FindSession, SessionDetail
from ipc.messages.events import Events, WatchEvents
from ipc.messages.fleet import (
    Announce,
    CacheReply,
    CacheRequest,
    FleetView,
    IdsLeased,
    SecretSpent,
    SpendSecret,
)
from ipc.messages.flows import DecodeUfrag, FlowList, FlowsRequest, ListFlows, UfragDecoded
from ipc.messages.keys import KeysReply, KeysRequest, RotateKeys
from ipc.messages.lifecycle import (
    Assignment,
    Claim,
    Drain,
    Farewell,
    Heartbeat,
    Hello,
    Ready,
    Reclaim,
    Rejected,
    Release,
    Released,
    Siblings,
    Stop,
    Welcome,
)
from ipc.messages.places import PlaceList, PlacesRequest, RankedPlaces
from ipc.messages.routes import Relays, RelaysApplied, Routes, RoutesApplied, Transceivers
from ipc.messages.sessions import (
    CountSessions,
    CreateSession,
    EndSession,
    ListSessions,
    PatchSession,
    SessionCount,
    SessionCreated,
    SessionEnded,
    SessionList,
    SessionPatched,
    SessionRefused,
    SessionsNews,
    SessionUnknown,
    WatchSessions,
)
from ipc.messages.sidebands import (
    CloseSideband,
    OpenSideband,
    ReadSidebands,
    SidebandDone,
    SidebandsRead,
    TellSession,
)
from ipc.messages.stats import (
    FleetStats,
    RealtimeStats,
    RelayStats,
    SessionEvents,
    SignalingStats,
    TelemetryStats,
    TransceiverStats,
)
from ipc.messages.trace import TraceReply, TraceRequest

Message: TypeAlias = (
    Assignment
    | Siblings
    | Hello
    | Welcome
    | Rejected
    | Reclaim
    | Claim
    | Ready
    | Heartbeat
    | Drain
    | Stop
    | Release
    | Released
    | Farewell
    | Routes
    | RoutesApplied
    | Transceivers
    | Relays
    | RelaysApplied
    | Announce
    | FleetView
    | IdsLeased
    | CacheRequest
    | CacheReply
    | SpendSecret
    | SecretSpent
    | CreateSession
    | SessionCreated
    | SessionRefused
    | PatchSession
    | SessionPatched
    | EndSession
    | SessionEnded
    | SessionUnknown
    | CountSessions
    | SessionCount
    | WatchSessions
    | SessionsNews
    | OpenSideband
    | TellSession
    | CloseSideband
    | SidebandDone
    | ReadSidebands
    | SidebandsRead
    | ListSessions
    | SessionList
    | RelayStats
    | TransceiverStats
    | SignalingStats
    | RealtimeStats
    | FleetStats
    | TelemetryStats
    | SessionEvents
    | FindSession
    | SessionDetail
    | ListFlows
    | FlowList
    | FlowsRequest
    | PlacesRequest
    | PlaceList
    | RankedPlaces
    | KeysRequest
    | RotateKeys
    | KeysReply
    | WatchEvents
    | Events
    | TraceRequest
    | TraceReply
    | DecodeUfrag
    | UfragDecoded
    | StatusRequest
    | StatusReply
    | SessionsRequest
    | ReloadRequest
    | DiffRequest
    | CordonRequest
    | UpgradeRequest
    | UpgradeReply
    | ReloadReply
    | Failure
)
