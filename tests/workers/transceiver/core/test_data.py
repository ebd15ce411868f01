"""A session's association, between its DTLS and the selected path; test_session_data.py has it whole."""

from __future__ import annotations

from functools import partial

from tests.support.sessions import Pair, entropy
from workers.transceiver.core.data import Data
from workers.transceiver.core.interface import Dropped, SendDatagram, Unsent
from workers.transceiver.core.paths import Paths
from workers.transceiver.core.sctp.association import Association
from workers.transceiver.core.sctp.interface import OpenChannel, Parameters
from workers.transceiver.core.session import Session
from workers.transceiver.core.values import DataParameters
from workers.wire.types import DropReason

APPLICATION_DATA = 23
"""The first byte of such a DTLS record."""
ASKED: Parameters = DataParameters("1", 5000, 0).association(even=True)


def connected() -> tuple[Session, float]:
    pair = Pair().connect()
    return pair.client.session, pair.now


def data_of(session: Session, paths: Paths | None = None) -> Data:
    associate = partial(Association, entropy=entropy("data"))
    return Data(session._dtls, paths or session._paths, associate)


def test_before_it_begins_nothing_comes_of_anything() -> None:
    session, now = connected()
    data = data_of(session)
    early = DropReason.UNEXPECTED_STATE
    assert data.handle(OpenChannel("x"), now) == [Dropped(early), Unsent(None, early)]
    assert data.receive(b"a packet", now) == [Dropped(DropReason.UNSUPPORTED)]
    assert data.next_timeout() is None
    assert data.handle_timeout(now + 60) == []


def test_packets_leave_encrypted_on_the_selected_path_and_again_in_time() -> None:
    session, now = connected()
    data, selected = data_of(session), session._paths.selected
    assert selected is not None
    before = selected.bytes_sent
    (init,) = data.begin(ASKED, now)
    assert isinstance(init, SendDatagram)
    assert init.path == selected.path
    assert init.datagram[0] == APPLICATION_DATA
    assert selected.bytes_sent == before + len(init.datagram)
    due = data.next_timeout()
    assert due is not None
    assert data.handle_timeout(due - 0.001) == []
    assert [type(output) for output in data.handle_timeout(due)] == [SendDatagram]


def test_where_there_is_no_path_nothing_leaves() -> None:
    session, now = connected()
    data = data_of(session, Paths())
    assert data.begin(ASKED, now) == [Dropped(DropReason.AMPLIFICATION_LIMIT)]


def test_what_is_no_packet_ends_there() -> None:
    session, now = connected()
    data = data_of(session)
    data.begin(ASKED, now)
    assert data.receive(b"no packet", now) == [Dropped(DropReason.MALFORMED_SCTP)]
