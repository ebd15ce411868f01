"""Where the identity provider's public keys come from: a file, or an address where it publishes them."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import trio

from config.key_set import VerifyingKey, parse_key_set
from config.problems import ConfigError
from ipc.log import Logger
from workers.http.problems import ProblemKind, Refused
from workers.http_client import HttpFailed, request
from workers.signaling.watched import Watched

WITHIN: Final = 5.0
"""Seconds for the answer."""
FRESH: Final = 300.0
"""Seconds until it is asked again, unless it says how long its answer is good (`max-age`), in bounds."""
_FRESH_BOUNDS: Final = (60.0, 3600.0)
AGAIN: Final = 10.0
"""Seconds between two questions at least, whoever wants what key; and after one without a usable answer."""
_MAX_AGE: Final = re.compile(r"(?:^|[\s,])max-age=\"?(\d{1,9})")


class FileKeys:
    """Those of a file, as it is now."""

    def __init__(self, path: Path, log: Logger) -> None:
        none: Mapping[str, VerifyingKey] = {}
        self._file = Watched(path, _read, without=none, log=log, what="key set")

    async def find(self, kid: str) -> VerifyingKey | None:
        """The key of that name."""
        return self._file.now().get(kid)


class PublishedKeys:
    """Those that the provider last published; while it is away, or says nonsense, they stay in force."""

    def __init__(self, url: str, log: Logger, tls: ssl.SSLContext | None = None) -> None:
        self._url = url
        self._log = log
        self._tls = tls or (ssl.create_default_context() if url.startswith("https:") else None)
        self._keys: Mapping[str, VerifyingKey] = {}
        self._why = ""
        self._asking, self._asked_at = False, -AGAIN
        self._wanted = trio.Event()
        self._answered = trio.Event()

    async def find(self, kid: str) -> VerifyingKey | None:
        """The key of that name; the provider is asked if it is new. Raises Refused (KEYS_AWAY)."""
        due = self._asking or trio.current_time() - self._asked_at >= AGAIN
        if kid not in self._keys and due:
            self._wanted.set()
            with trio.move_on_after(2 * WITHIN):
                await self._answered.wait()
        if not self._keys:
            raise Refused(ProblemKind.KEYS_AWAY, "the identity provider has not published any yet")
        return self._keys.get(kid)

    async def run(self) -> None:
        """Ask, for ever: at once, when an answer is no longer fresh, and when a key is wanted."""
        while True:
            self._asking, self._asked_at = True, trio.current_time()
            fresh = await self._ask()
            self._asking = False
            self._answered.set()
            self._answered, self._wanted = trio.Event(), trio.Event()
            with trio.move_on_after(fresh):
                await self._wanted.wait()

    async def _ask(self) -> float:
        """Seconds until the next time."""
        try:
            answer = await request(
                "GET",
                self._url,
                headers={"accept": "application/jwk-set+json, application/json"},
                within=WITHIN,
                tls=self._tls,
            )
            if answer.status != 200:
                raise HttpFailed(f"it answered {answer.status}")
            text = answer.body.decode("utf-8")
            keys = parse_key_set(text, source=self._url)
        except (HttpFailed, UnicodeDecodeError, ConfigError) as error:
            if (why := str(error)) != self._why:  # once for each way to fail
                what = "the identity provider's keys cannot be had; the last stay in force"
                self._log.error(what, url=self._url, why=why)
            self._why = why
            return AGAIN
        if keys.keys() != self._keys.keys() or self._why:
            self._log.info("the identity provider's keys", url=self._url, keys=sorted(keys))
        self._keys, self._why = keys, ""
        return _freshness(answer.headers)


def _freshness(headers: Mapping[str, str]) -> float:
    said = _MAX_AGE.search(headers.get("cache-control", "").lower())
    least, most = _FRESH_BOUNDS
    return min(max(float(said[1]), least), most) if said else FRESH


def _read(path: Path) -> Mapping[str, VerifyingKey]:
    return parse_key_set(path.read_text(encoding="utf-8"), source=str(path))
