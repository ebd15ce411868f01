"""One session as operators see it: what its table, its media plane and itself know, put together."""

from __future__ import annotations

import msgspec

from config.ids import Instant
from ipc.messages.details import AudioDetail, PathDetail, SessionDetail
from workers.transceiver.core.entry import Entry
from workers.transceiver.core.labels import Labels
from workers.transceiver.core.streams.interface import StreamStats


def detail_of(
    entry: Entry, labels: Labels[Entry], stats: StreamStats, now: Instant
) -> SessionDetail:
    """Without its back end, of which nothing is known here."""
    facts = entry.core.facts(now)
    audio = _audio(entry, stats, now)
    paths: list[PathDetail] = []
    for path, detail in facts.paths.items():
        if detail.selected and audio.received is not None:
            # The plane tells a session only of audio that comes by another path.
            heard = min(detail.silence, audio.received)
            detail = msgspec.structs.replace(detail, silence=heard)
        way = labels.way(entry, path)
        if way is not None:
            detail = msgspec.structs.replace(detail, relay=way.relay, label=way.label)
        paths.append(detail)
    return SessionDetail(
        summary=entry.summary(stats, now),
        backend="",
        ufrags=tuple(entry.ufrags),
        dtls=facts.dtls,
        audio=audio,
        paths=tuple(paths),
        channels=facts.channels,
        buffered=facts.buffered,
        limits=facts.limits,
    )


def _audio(entry: Entry, stats: StreamStats, now: Instant) -> AudioDetail:
    codecs = entry.parameters.audio.codecs if entry.parameters.audio else ()
    names = {codec.payload_type: codec.name for codec in codecs}
    return AudioDetail(
        codec_in=names.get(stats.payload_type, ""),
        codec_out=names.get(stats.payload_type_out, ""),
        octets_in=stats.octets_in,
        octets_out=stats.octets_out,
        expected=stats.expected,
        received=now - stats.received_at if stats.packets_in else None,
        sent=now - stats.sent_at if stats.packets_out else None,
        reports_in=stats.reports_in,
        source=stats.source,
    )
