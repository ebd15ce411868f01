"""API keys in a file, client secrets, and a clock that a test sets."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path
from typing import Final

import structlog

from workers.signaling.access import Access, Locks, Own
from workers.signaling.api_keys import ApiKeys
from workers.signaling.client_secrets import ClientSecrets
from workers.signaling.ledger import Ledger

KEY: Final = "sk-0123456789abcdef0123456789abcdef"
OTHER_KEY: Final = "sk-fedcba9876543210fedcba9876543210"


def line(name: str, key: str) -> str:
    """Of the file of keys."""
    return f'{name} = "sha256:{sha256(key.encode()).hexdigest()}"\n'


class Keyring:
    """What signaling has when keys are configured; `now` is what its clock says."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "api-keys.toml"
        self.now = 1_800_000_000.0
        self.write(line("shop", KEY))
        self.secrets = ClientSecrets({"k": bytes(range(16))}, "k", os.urandom)
        self.keys = ApiKeys(self.file, structlog.get_logger())
        locks = Locks(lambda: self.now, Own(self.keys, self.secrets, Ledger()))
        self.access = Access(locks, now=lambda: self.now)

    def write(self, text: str) -> None:
        """Another file, as editors do it."""
        draft = self.file.with_suffix(".new")
        draft.write_text(text, encoding="utf-8")
        draft.rename(self.file)
