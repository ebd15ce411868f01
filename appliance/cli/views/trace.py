"""Where something leads, for people: a line a hop."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table

from appliance.cli.plain import escape
from appliance.cli.views.flows import flows_table
from appliance.cli.views.session import session_line
from ipc.messages.trace import TraceReply, Verdict

_KINDS = {"ufrag": "ufrag", "session": "session id", "client": "client"}


def trace_view(reply: TraceReply) -> RenderableType:
    """The hops as far as they are known, and why no farther."""
    hops = Table.grid(padding=(0, 2))
    hops.add_row(_KINDS.get(reply.kind, reply.kind), escape(reply.what))
    if reply.route is not None:
        cluster, transceiver, epoch = reply.route
        route = f"cluster {cluster}, transceiver {transceiver}, boot {epoch}"
        hops.add_row("route", route)
    if reply.worker:
        hops.add_row("worker", escape(reply.worker))
    if reply.session is not None:
        hops.add_row("session", session_line(reply.session.summary))
        hops.add_row("path", escape(reply.session.summary.path or "none yet"))
    style = "green" if reply.verdict is Verdict.LIVE else "red"
    text = f"[{style}]{escape(reply.verdict.value.replace('_', ' '))}[/]"
    hops.add_row("verdict", f"{text}: {escape(reply.why)}" if reply.why else text)
    return Group(hops, "", flows_table(reply.flows)) if reply.flows else hops
