"""What the shell may complete of a running appliance: names of workers, ids of sessions.

Asked of the appliance with little patience, and silent if there is none: a shell that hangs or prints
errors while somebody types is worse than one that knows nothing.
"""

from __future__ import annotations

from typing import Final

import click
from click.shell_completion import CompletionItem

WITHIN: Final = 0.5
"""Seconds."""
_MOST: Final = 200


def complete_session(
    context: click.Context, _parameter: click.Parameter, typed: str
) -> list[CompletionItem]:
    """Ids of live sessions, with state and worker."""
    from appliance.cli.client import ask, line_of
    from appliance.cli.failure import Failed
    from ipc.messages.admin import SessionsRequest
    from ipc.messages.sessions import SessionList

    try:
        found = ask(line_of(context.params), SessionsRequest(_MOST), SessionList, within=WITHIN)
    except Failed:
        return []
    return [
        CompletionItem(row.session, help=f"{row.state} {row.worker}")
        for row in found.rows
        if row.session.startswith(typed)
    ]


def complete_worker(
    context: click.Context, _parameter: click.Parameter, typed: str
) -> list[CompletionItem]:
    """Names of workers, with their state."""
    from appliance.cli.client import ask, line_of
    from appliance.cli.failure import Failed
    from ipc.messages.admin import StatusReply, StatusRequest

    try:
        found = ask(line_of(context.params), StatusRequest(), StatusReply, within=WITHIN)
    except Failed:
        return []
    return [
        CompletionItem(worker.name, help=worker.state)
        for worker in found.workers
        if worker.name.startswith(typed)
    ]
