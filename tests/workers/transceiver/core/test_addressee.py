"""A handshake on a path of two sessions is the one's that is in set-up."""

from __future__ import annotations

import pytest

from config.ids import Endpoint, Transport
from tests.support.transceiver import RELAY, Rig
from workers.transceiver.core.addressee import addressee
from workers.transceiver.core.entry import Entry
from workers.transceiver.core.interface import Path
from workers.transceiver.core.labels import Labels, LinkLabel
from workers.transceiver.core.states import SessionState

PATH = Path(Transport.UDP, Endpoint("198.51.100.1", 1), Endpoint("192.0.2.1", 3478))
HELLO = bytes.fromhex("16fefd0000000000000000") + b"hello"
LATER = bytes.fromhex("16fefd0001000000000000") + b"hello"
DATA = bytes.fromhex("17fefd0000000000000000") + b"hello"


def shared(*states: SessionState) -> tuple[Labels[Entry], list[Entry]]:
    rig = Rig()
    for _ in states:
        rig.call()
    entries = list(rig.sessions._roster.entries.values())
    labels: Labels[Entry] = Labels()
    for entry, state in zip(entries, states, strict=True):
        entry.state = state
        labels.bind(entry, PATH, LinkLabel(RELAY, 1), proven=False)
    return labels, entries


@pytest.mark.parametrize(
    ("datagram", "states", "expected"),
    [
        (HELLO, (SessionState.CONNECTED, SessionState.CHECKING), 1),
        (HELLO, (SessionState.CONNECTED, SessionState.CHECKING, SessionState.CHECKING), 2),
        (HELLO, (SessionState.CONNECTED, SessionState.CONNECTED), 0),
        (HELLO, (SessionState.CHECKING, SessionState.CHECKING), 0),
        (LATER, (SessionState.CONNECTED, SessionState.CHECKING), 0),
        (DATA, (SessionState.CONNECTED, SessionState.CHECKING), 0),
        (HELLO[:5], (SessionState.CONNECTED, SessionState.CHECKING), 0),
    ],
)
def test_who_gets_it(datagram: bytes, states: tuple[SessionState, ...], expected: int) -> None:
    labels, entries = shared(*states)
    assert addressee(labels, entries[0], PATH, datagram) is entries[expected]
