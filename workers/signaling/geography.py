"""The operator's database of where addresses are, in MaxMind's format; read again when it has changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import maxminddb

from ipc.log import Logger
from workers.signaling.quotas import Address
from workers.signaling.watched import Watched
from workers.signaling.whereabouts import NOWHERE, Location, Whereabouts


class Geography:
    """What the file says now; one that cannot be used leaves the last that could."""

    def __init__(self, path: Path, log: Logger) -> None:
        """Whatever is wrong with the file: then nobody's place is known, until it is put right."""
        self._file: Watched[maxminddb.Reader | None] = Watched(
            path, _open, without=None, log=log, what="places of addresses"
        )

    def find(self, address: Address) -> Whereabouts:
        """Where that address is; of country databases no more than the country."""
        reader = self._file.now()
        if reader is None:
            return NOWHERE
        try:
            found = reader.get(address)
        except (ValueError, maxminddb.InvalidDatabaseError):  # IPv6 in a database of IPv4; damage
            return NOWHERE
        return _read(found) if isinstance(found, dict) else NOWHERE


def _open(path: Path) -> maxminddb.Reader:
    try:
        # Into memory: a file that is cut short under a mapping would end the process.
        with path.open("rb") as opened:
            return maxminddb.open_database(opened, maxminddb.MODE_FD)
    except maxminddb.InvalidDatabaseError as error:
        raise ValueError(str(error)) from None


def _read(record: dict[str, Any]) -> Whereabouts:
    location, country = record.get("location"), record.get("country")
    code = country.get("iso_code") if isinstance(country, dict) else None
    place = None
    if isinstance(location, dict):
        latitude, longitude = location.get("latitude"), location.get("longitude")
        if isinstance(latitude, int | float) and isinstance(longitude, int | float):
            place = Location(float(latitude), float(longitude))
    return Whereabouts(place, code if isinstance(code, str) else "")
