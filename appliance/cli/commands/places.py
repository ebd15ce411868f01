"""`tandem places`."""

from __future__ import annotations

import math

import click

from appliance.cli.client import EXIT_USAGE, Line, appliance_options, ask, json_option
from appliance.cli.help import Command
from config.places import is_country, is_location
from ipc.messages.places import PlaceList, PlacesRequest


class _Position(click.ParamType[tuple[float, float]]):
    name = "position"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, float]:
        """Latitude and longitude."""
        try:
            latitude, longitude = map(float, str(value).split(","))
        except ValueError:
            latitude = longitude = math.nan
        if not is_location((latitude, longitude)):
            self.fail(f"{value!r} is not LATITUDE,LONGITUDE in degrees, like 48.9,2.35", param, ctx)
        return latitude, longitude


class _Country(click.ParamType[str]):
    name = "country"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """As it stands in the configuration of hosts."""
        country = str(value).upper()
        if not is_country(country):
            self.fail(f"{value!r} is not like DE or US", param, ctx)
        return country


@click.command(
    cls=Command,
    epilog="""\b
Examples:
  tandem places
  tandem places --near 48.9,2.35
  tandem places --near=-33.9,151.2 --country AU
  tandem places --json | jq '.rows[] | select(.health == "dead")'""",
)
@appliance_options
@click.option(
    "--near",
    type=_Position(),
    metavar="LAT,LON",
    help="Say what an answer names to a client there. Without it: to one of whom nothing is known.",
)
@click.option("--country", type=_Country(), metavar="CC", help="The client's country.")
@json_option
def command(
    line: Line, near: tuple[float, float] | None, country: str | None, as_json: bool
) -> None:
    """Show where relays and hosts are, and which of them answers name.

    A row is a host of the fleet, as it describes itself, or a place of steering.sites. "answer" is the
    place's number in an answer to that client (--near), "health" what answers make of it: "well", "leaving"
    (it drains, starts or is crowded: after all others) or "dead" (left out). "heard" is how long ago its
    last sign of life was, "load" its sessions and how many it takes. Where health is "-" no answer names
    it: it has no place, no relays, or its relays do not know the way to our cluster.
    """
    request = PlacesRequest(near or (), country or "")
    places = ask(line, request, PlaceList, refused=EXIT_USAGE)

    from appliance.cli import render
    from appliance.cli.views.places import places_view

    if as_json:
        click.echo(render.as_json(places))
    else:
        render.show(places_view(places))
