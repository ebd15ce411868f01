"""Keys that seal routes into ufrags: what `tandem keys` asks and learns. Never the keys themselves."""

from __future__ import annotations

import msgspec

from ipc.messages.lifecycle import Tagged


class KeysRequest(Tagged, frozen=True):
    """Which keys are there? Answered with KeysReply."""


class RotateKeys(Tagged, frozen=True):
    """Make a new one of the host's own, or drop an old one; answered with KeysReply when it is done."""

    drop: str = ""
    """Id of the key to drop; empty: make a new one."""


class KeyStatus(msgspec.Struct, frozen=True):
    """One row of `tandem keys`."""

    id: str
    """First character of the ufrags that it seals."""
    fingerprint: str
    """First 64 bits of its SHA-256, in hex."""
    file: str
    """Empty if it is no longer on disk, and there only for sessions that are not over."""
    age: float | None
    """Seconds since the file was written."""
    mints: bool
    """New sessions get it."""
    minted_by: tuple[str, ...]
    """Living transceivers that mint, or have minted, with it."""


class KeysReply(Tagged, frozen=True):
    """All keys that workers have, or get when they are replaced."""

    keys: tuple[KeyStatus, ...]
