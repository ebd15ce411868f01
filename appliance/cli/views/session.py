"""One session, for people: what it is, how its audio fares, its paths, channels and limits."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from appliance.cli.plain import escape
from appliance.cli.render import NONE, STATE_STYLES, count, duration, milliseconds, table_of
from appliance.cli.views.flows import label_text
from ipc.messages.details import LimitDetail, PathDetail, SessionDetail
from ipc.messages.sessions import SessionSummary

SESSION_STYLES = STATE_STYLES | {"connected": "green", "waiting": "cyan", "checking": "cyan"}


def session_view(detail: SessionDetail) -> RenderableType:
    """All of it."""
    parts: list[RenderableType] = [_head(detail), "", _audio(detail), "", _paths(detail.paths)]
    if detail.channels:
        channels = table_of(("channel", "label", "protocol", "ordered"), ())
        for channel in detail.channels:
            ordered = "yes" if channel.ordered else "no"
            row = (str(channel.channel), escape(channel.label), escape(channel.protocol or NONE))
            channels.add_row(*row, ordered)
        parts += ["", channels]
    return Group(*parts)


def _head(detail: SessionDetail) -> Table:
    summary = detail.summary
    style = SESSION_STYLES.get(summary.state, "red")
    head = Table.grid(padding=(0, 2))
    head.add_row("session", escape(summary.session))
    head.add_row("state", f"[{style}]{escape(summary.state)}[/] on {escape(summary.worker)}")
    head.add_row("age", duration(summary.age))
    served = f"{detail.backend} at {detail.endpoint}" if detail.endpoint else detail.backend
    head.add_row("back end", escape(served) or NONE)
    head.add_row("security", escape(detail.dtls) or NONE)
    head.add_row("round trip", milliseconds(summary.round_trip_ms))
    head.add_row("ufrag", escape(", ".join(detail.ufrags)))
    head.add_row("ends", ", ".join(_limits(detail.limits)) or "when somebody hangs up")
    if detail.buffered:
        head.add_row("buffered", f"{detail.buffered} bytes of messages")
    return head


def _limits(limits: LimitDetail) -> Iterator[str]:
    for seconds, what in (
        (limits.connect, "unless it is connected"),
        (limits.consent, "without another check"),
        (limits.max_duration, "by its maximum duration"),
        (limits.idle, "if it stays idle"),
    ):
        if seconds is not None:
            yield f"in {duration(seconds)} {what}"


def _audio(detail: SessionDetail) -> Table:
    table = table_of(("audio", "codec"), ("packets", "bytes", "lost", "jitter", "last"))
    summary, audio = detail.summary, detail.audio
    table.add_row(
        "in",
        escape(audio.codec_in or summary.codec or NONE),
        count(summary.packets_in),
        count(audio.octets_in),
        _share(summary.lost, audio.expected),
        milliseconds(summary.jitter_ms),
        _ago(audio.received),
    )
    lost = NONE if summary.peer_lost is None else _share(summary.peer_lost, summary.packets_out)
    table.add_row(
        "out",
        escape(audio.codec_out or summary.codec or NONE),
        count(summary.packets_out),
        count(audio.octets_out),
        lost,
        milliseconds(summary.peer_jitter_ms),
        _ago(audio.sent),
    )
    return table


def _share(lost: int, of: int) -> str:
    return f"{count(lost)} ({100 * lost / of:.1f} %)" if of > 0 and lost > 0 else count(lost)


def _ago(seconds: float | None) -> str:
    return NONE if seconds is None else f"{max(0.0, seconds):.1f} s ago"


def _paths(paths: tuple[PathDetail, ...]) -> RenderableType:
    if not paths:
        return Text("no path yet: no check of the client has come with the right key")
    table = table_of(("path", "standing", "by relay", "label"), ("silent",))
    for path in paths:
        words = ("selected", path.selected), ("proven", path.proven), ("verified", path.verified)
        standing = next((word for word, holds in words if holds), "unverified")
        table.add_row(
            escape(path.path),
            f"[green]{standing}[/]" if path.selected else standing,
            escape(path.worker or str(path.relay or NONE)),
            NONE if path.label is None else label_text(path.label),
            f"{path.silence:.1f} s",
        )
    return table


def session_line(summary: SessionSummary) -> str:
    """One, in a line."""
    style = SESSION_STYLES.get(summary.state, "red")
    state = f"[{style}]{escape(summary.state)}[/]"
    return f"{escape(summary.session)}, {state}, {duration(summary.age)} old"
