"""Keys of ufrags, for people."""

from __future__ import annotations

from rich.console import RenderableType

from appliance.cli.plain import escape
from appliance.cli.render import NONE, duration, table_of
from ipc.messages.keys import KeysReply


def keys_view(reply: KeysReply) -> RenderableType:
    """One key a row."""
    table = table_of(("id", "fingerprint", "role"), ("age",))
    table.add_column("used by")
    table.add_column("file", overflow="fold")
    for key in reply.keys:
        role = "[green]mints[/]" if key.mints else "read only" if key.file else "[yellow]leaving[/]"
        table.add_row(
            key.id,
            key.fingerprint,
            role,
            NONE if key.age is None else duration(key.age),
            escape(", ".join(key.minted_by) or NONE),
            escape(key.file or NONE),
        )
    return table
