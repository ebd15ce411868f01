"""What a session says of itself to who looks closely: `tandem sessions show`."""

from __future__ import annotations

from typing import NamedTuple

from config.ids import Instant
from ipc.messages.details import ChannelDetail, LimitDetail, PathDetail
from workers.transceiver.core.dtls import DTLS_1_2, Dtls
from workers.transceiver.core.ice import Ice
from workers.transceiver.core.limits import Limits
from workers.transceiver.core.paths import PathState
from workers.transceiver.core.sctp.association import Association
from workers.transceiver.core.sctp.interface import ChannelOpened
from workers.transceiver.core.values import DtlsRole, Path


class Facts(NamedTuple):
    """At one instant."""

    paths: dict[Path, PathDetail]
    dtls: str
    channels: tuple[ChannelDetail, ...]
    buffered: int
    limits: LimitDetail


def facts_of(
    ice: Ice,
    dtls: Dtls,
    role: DtlsRole,
    data: Association | None,
    limits: Limits,
    deadlines: tuple[Instant | None, Instant | None],
    now: Instant,
) -> Facts:
    """`deadlines`: to be connected, and of consent."""
    connect, consent = (None if at is None else at - now for at in deadlines)
    return Facts(
        {state.path: _path(state, ice, now) for state in ice.paths.values()},
        _dtls(dtls, role),
        () if data is None else tuple(map(_channel, data.channels.opened())),
        0 if data is None else data.buffered,
        LimitDetail(connect, consent, *limits.left(now)),
    )


def _path(state: PathState, ice: Ice, now: Instant) -> PathDetail:
    return PathDetail(
        str(state.path),
        state is ice.paths.selected,
        state.verified,
        state.proven,
        now - state.active_at,
    )


def _channel(opened: ChannelOpened) -> ChannelDetail:
    return ChannelDetail(opened.channel, opened.label, opened.protocol, opened.ordered)


def _dtls(dtls: Dtls, role: DtlsRole) -> str:
    if dtls.version is None:
        return ""
    version = "1.2" if dtls.version == DTLS_1_2 else "1.3"
    srtp = f", {dtls.keys.profile.name}" if dtls.keys is not None else ""
    return f"DTLS {version} {role.value}{srtp}"
