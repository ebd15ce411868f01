"""What a survivor must have been born with to be of use to us."""

from __future__ import annotations

from typing import NamedTuple

from appliance.supervisor.keys import Keyring, UfragKeys
from config.change import EFFECTS, Effect, changes
from config.model import Config
from config.passed import parse_passed
from ipc.messages.lifecycle import PROTOCOL_VERSION, Assignment


class Terms(NamedTuple):
    """What we work with."""

    config: Config
    keyring: Keyring

    def misfit(self, assignment: Assignment) -> str:
        """Why a process with that assignment is of no use; empty if it is.

        It serves by values that only a restart changes, so they must be ours; others are rolled.
        """
        if assignment.version != PROTOCOL_VERSION:
            return f"was born under version {assignment.version}, ours is {PROTOCOL_VERSION}"
        if clash := self.keyring.clash(UfragKeys(assignment.ufrag_keys, assignment.mint_with)):
            return clash
        theirs = configuration(assignment)
        if theirs is None:
            return "has a configuration that this version does not know"
        differ = [c.key for c in changes(theirs, self.config) if EFFECTS[c.key] is Effect.RESTART]
        return f"works with another {', '.join(differ)}" if differ else ""


def configuration(assignment: Assignment) -> Config | None:
    """What a process serves by, as far as this version knows it; None if it has no such values."""
    try:
        return parse_passed(assignment.config)
    except ValueError:
        return None
