"""The operator's database of where addresses are, in MaxMind's format; read again when it has changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import maxminddb

from ipc.log import Logger
from workers.signaling.quotas import Address
from workers.signaling.steering import Location, Whereabouts

_UNKNOWN: Final = Whereabouts()


class Geography:
    """What the file says now; one that cannot be used leaves the last that could."""

    def __init__(self, path: Path, log: Logger) -> None:
        """Whatever is wrong with the file: then nobody's place is known, until it is put right."""
        self._path = path
        self._log = log
        self._seen: tuple[int, ...] = ()
        self._reader: maxminddb.Reader | None = None
        self._refresh()

    def find(self, address: Address) -> Whereabouts:
        """Where that address is; of country databases no more than the country."""
        self._refresh()
        if self._reader is None:
            return _UNKNOWN
        try:
            found = self._reader.get(address)
        except (ValueError, maxminddb.InvalidDatabaseError):  # IPv6 in a database of IPv4; damage
            return _UNKNOWN
        return _read(found) if isinstance(found, dict) else _UNKNOWN

    def _refresh(self) -> None:
        seen: tuple[int, ...] = (-1,)
        try:
            file = self._path.stat()
            seen = (file.st_mtime_ns, file.st_size, file.st_ino)
            if seen == self._seen:
                return
            # Into memory: a file that is cut short under a mapping would end the process.
            with self._path.open("rb") as opened:
                reader = maxminddb.open_database(opened, maxminddb.MODE_FD)
        except (OSError, ValueError, maxminddb.InvalidDatabaseError) as error:
            if seen != self._seen:  # once for each state of the file
                why = getattr(error, "strerror", None) or str(error)
                self._log.error(
                    "where addresses are cannot be read; the last stays in force", why=why
                )
        else:
            self._reader = reader
        self._seen = seen


def _read(record: dict[str, Any]) -> Whereabouts:
    location, country = record.get("location"), record.get("country")
    code = country.get("iso_code") if isinstance(country, dict) else None
    place = None
    if isinstance(location, dict):
        latitude, longitude = location.get("latitude"), location.get("longitude")
        if isinstance(latitude, int | float) and isinstance(longitude, int | float):
            place = Location(float(latitude), float(longitude))
    return Whereabouts(place, code if isinstance(code, str) else "")
