"""Where relays and hosts are, for people."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from appliance.cli.fitted import Column, FittedTable
from appliance.cli.plain import escape
from appliance.cli.render import NONE, STATE_STYLES, duration
from ipc.messages.places import PlaceList, PlaceRow

_COLUMNS = (
    Column("place"),
    Column("answer", number=True),
    Column("health"),
    Column("host", 5),
    Column("cluster", 4, number=True),
    Column("state"),
    Column("heard", number=True),
    Column("load", number=True),
    Column("relays", 3, number=True),
    Column("position", 6),
    Column("km", 2, number=True),
    Column("addresses", 7),
)
_HEALTH_STYLES = {"well": "green", "leaving": "yellow"}
_NOT_RANKED = "what answers name is not known: no signaling worker of this host has said it"
_NO_PLACES = (
    "answers name this host's addresses (relay.advertise): it has no place (fleet.site), and none are "
    "listed (steering.sites)"
)


def places_view(places: PlaceList) -> RenderableType:
    """One host, or place of the configuration, a row; then what there is to say of answers."""
    table = FittedTable(_COLUMNS)
    for row in places.rows:
        table.add_row(*_row(row))
    if not places.ranked:
        return Group(table, "", Text(_NOT_RANKED, style="yellow"))
    if not any(row.rank for row in places.rows):
        return Group(table, "", Text(_NO_PLACES))
    return table


def _row(row: PlaceRow) -> list[str]:
    return [
        escape(row.site or NONE),
        str(row.rank or NONE),
        _styled(row.health, _HEALTH_STYLES),
        "this host" if row.own else escape(row.host or "(the file)"),
        NONE if row.cluster is None else str(row.cluster),
        _styled(row.state, STATE_STYLES),
        _heard(row),
        f"{row.sessions}/{row.max_sessions}" if row.max_sessions or row.sessions else NONE,
        _relays(row),
        escape(_position(row.location, row.countries)),
        NONE if row.km is None else f"{row.km:.0f}",
        escape(", ".join(map(str, row.addresses)) or NONE),
    ]


def _styled(word: str, styles: dict[str, str]) -> str:
    return f"[{styles.get(word, 'red')}]{escape(word)}[/]" if word else NONE


def _heard(row: PlaceRow) -> str:
    if row.own or not row.host:
        return NONE
    age = f"{row.silence:.1f} s" if row.silence < 10 else duration(row.silence)
    return age if row.fresh else f"[red]{age}[/]"


def _relays(row: PlaceRow) -> str:
    if not row.relays:
        return NONE
    return f"[yellow]{row.relays}, full[/]" if row.crowded else str(row.relays)


def _position(location: Sequence[float], countries: Sequence[str]) -> str:
    parts = [", ".join(f"{number:g}" for number in location), " ".join(countries)]
    return "; ".join(filter(None, parts)) or NONE
