"""An ICE restart, message by message, and with both ends of a session on a network (RFC 8445, 9)."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from config.ids import Endpoint, Transport
from tests.support.sessions import (
    CLIENT,
    DELAY,
    SERVER,
    End,
    Pair,
    is_stun,
)
from tests.workers.transceiver.core.test_ice import (
    CLIENT_KEY,
    PATH,
    answer,
    check,
    controlled,
    controlling,
    sent,
)
from workers.transceiver.core.ice import Ice
from workers.transceiver.core.interface import (
    CredentialsRetired,
    Dropped,
    IceCredentials,
    Path,
    PathSelected,
    RestartIce,
    SendDatagram,
)
from workers.wire.types import DropReason

NEW_SERVER = IceCredentials("sNew", "server-password-renewed")
NEW_CLIENT = IceCredentials("cNew", "client-password-renewed")
NEW_PATH = Path(Transport.UDP, Endpoint("192.0.2.77", 50_077), SERVER)
NEW_KEY = NEW_SERVER.password.encode()


def new_check(*attributes: str) -> bytes:
    return check(*attributes, username="sNew:cNew", key=NEW_KEY)


def talking() -> Ice:
    """A controlled end whose path is proven and nominated."""
    ice = controlled()
    probe = sent(ice.handle(PATH, check("USE-CANDIDATE"), 1.0))[1]
    ice.handle(PATH, answer(probe, CLIENT_KEY), 1.05)
    ice.connect(None, 1.1)
    assert ice.restart(NEW_SERVER, NEW_CLIENT, 2.0) == []
    return ice


def test_old_credentials_go_on_until_there_is_a_new_pair() -> None:
    ice = talking()
    (old,) = sent(ice.handle(PATH, check(), 2.1))
    assert old.signed_with(b"server-password-server")
    outputs = ice.handle(NEW_PATH, new_check(), 2.2)
    response, probe = sent(outputs)
    assert response.signed_with(NEW_KEY)
    assert probe.attributes["USERNAME"] == "cNew:sNew"
    assert probe.signed_with(NEW_CLIENT.password.encode())
    assert not any(isinstance(o, PathSelected | CredentialsRetired) for o in outputs)

    ice.handle(NEW_PATH, answer(probe, NEW_CLIENT.password.encode()), 2.3)
    assert ice.paths.selected is ice.paths.get(PATH)
    outputs = ice.handle(NEW_PATH, new_check("USE-CANDIDATE"), 2.4)
    assert outputs[1:] == [PathSelected(NEW_PATH), CredentialsRetired("sRvr")]
    assert ice.handle(PATH, check(), 2.5) == [Dropped(DropReason.UNKNOWN_UFRAG)]


def test_the_same_path_can_be_the_new_pair() -> None:
    ice = talking()
    ice.handle(PATH, new_check(), 2.2)
    outputs = ice.handle(PATH, new_check("USE-CANDIDATE"), 2.3)
    assert outputs[1:] == [CredentialsRetired("sRvr")]
    assert ice.handle(PATH, check("USE-CANDIDATE"), 2.4) == [Dropped(DropReason.UNKNOWN_UFRAG)]


def test_a_nomination_waits_for_the_proof_of_its_path() -> None:
    ice = talking()
    probe = sent(ice.handle(NEW_PATH, new_check("USE-CANDIDATE"), 2.2))[1]
    assert ice.paths.selected is ice.paths.get(PATH)
    assert len(sent(ice.handle(PATH, check(), 2.3))) == 1
    outputs = ice.handle(NEW_PATH, answer(probe, NEW_CLIENT.password.encode()), 2.4)
    assert outputs[1:] == [PathSelected(NEW_PATH), CredentialsRetired("sRvr")]


def test_an_answer_counts_under_the_password_of_its_request_only() -> None:
    ice = talking()
    probe = sent(ice.handle(NEW_PATH, new_check(), 2.2))[1]
    assert ice.handle(NEW_PATH, answer(probe, CLIENT_KEY), 2.3) == [
        Dropped(DropReason.BAD_INTEGRITY)
    ]


def test_passwords_of_two_generations_do_not_mix() -> None:
    ice = talking()
    mixed = check(username="sNew:cNew")
    assert ice.handle(NEW_PATH, mixed, 2.2) == [Dropped(DropReason.BAD_INTEGRITY)]
    crossed = check(username="sNew:cLnt", key=NEW_KEY)
    assert ice.handle(NEW_PATH, crossed, 2.2) == [Dropped(DropReason.UNKNOWN_UFRAG)]


def test_a_restart_that_came_to_nothing_is_replaced_by_the_next() -> None:
    ice = talking()
    again = IceCredentials("sTry", "server-password-again")
    assert ice.restart(again, NEW_CLIENT, 3.0) == [CredentialsRetired("sNew")]
    assert ice.handle(NEW_PATH, new_check(), 3.1) == [Dropped(DropReason.UNKNOWN_UFRAG)]
    assert len(sent(ice.handle(PATH, check(), 3.2))) == 1


def test_the_controlling_end_checks_and_nominates_anew() -> None:
    path = Path(Transport.UDP, SERVER, CLIENT)
    ice = controlling(path)
    (request,) = sent(ice.handle_timeout(0.0))
    (nomination,) = sent(ice.handle(path, answer(request, b"server-password-server"), 0.1))
    ice.handle(path, answer(nomination, b"server-password-server"), 0.2)
    ice.restart(NEW_CLIENT, NEW_SERVER, 3.0)
    assert ice.next_timeout() == 3.0
    (request,) = sent(ice.handle_timeout(3.0))
    assert request.attributes["USERNAME"] == "sNew:cNew"
    assert "USE-CANDIDATE" not in request.attributes
    # A lost check is repeated at once, not after a consent interval.
    due = ice.next_timeout()
    assert due is not None
    assert due < 3.2
    ice.handle_timeout(due)
    (nomination,) = sent(ice.handle(path, answer(request, NEW_KEY), 3.3))
    assert "USE-CANDIDATE" in nomination.attributes
    assert ice.handle(path, answer(nomination, NEW_KEY), 3.4) == [CredentialsRetired("cLnt")]


# --- both ends on a network -----------------------------------------------------------------------


def restart(pair: Pair) -> None:
    """As the exchange over HTTP does it: the answering end first."""
    pair.do(End.SERVER, RestartIce(NEW_SERVER, NEW_CLIENT))
    pair.do(End.CLIENT, RestartIce(NEW_CLIENT, NEW_SERVER))


def test_not_one_packet_is_lost_and_dtls_is_not_done_again() -> None:
    pair = Pair().connect()
    pair.run(1.0)
    handshakes = len([1 for _, _, d in pair.sent if 20 <= d[0] <= 22])
    restart(pair)
    for n in range(100):
        pair.speak(End.CLIENT, b"c%d" % n)
        pair.speak(End.SERVER, b"s%d" % n)
        pair.run(0.02)
    pair.run(0.1)
    assert pair.heard(End.SERVER) == [b"c%d" % n for n in range(100)]
    assert pair.heard(End.CLIENT) == [b"s%d" % n for n in range(100)]
    assert len([1 for _, _, d in pair.sent if 20 <= d[0] <= 22]) == handshakes
    assert [o.ufrag for o in pair.outputs(End.SERVER, CredentialsRetired)] == ["sRvr"]
    assert [o.ufrag for o in pair.outputs(End.CLIENT, CredentialsRetired)] == ["cLnt"]


def test_consent_is_kept_with_the_new_credentials() -> None:
    pair = Pair().connect()
    restart(pair)
    pair.run(90.0)
    assert pair.connected


def test_a_restart_on_a_new_network_moves_media_as_soon_as_it_is_nominated() -> None:
    pair = Pair().connect()
    pair.run(1.0)
    pair.seen_as = Endpoint("192.0.2.99", 50_099)
    restart(pair)
    began = pair.now
    moved = Path(Transport.UDP, pair.seen_as, SERVER)
    pair.run_until(lambda: PathSelected(moved) in pair.outputs(End.SERVER, PathSelected))
    assert pair.now - began < 10 * DELAY


def test_a_restart_before_the_first_check_is_as_good_as_the_first_answer() -> None:
    pair = Pair()
    restart(pair)
    pair.connect()
    assert [o.ufrag for o in pair.outputs(End.SERVER, CredentialsRetired)] == ["sRvr"]


def test_nothing_restarts_a_closed_session() -> None:
    pair = Pair().connect()
    pair.run(40.0)
    pair.seen_as = Endpoint("192.0.2.1", 1)
    pair.fate = lambda _end, _datagram: ()
    pair.run(80.0)
    assert pair.ended(End.SERVER) is not None
    assert pair.do(End.SERVER, RestartIce(NEW_SERVER, NEW_CLIENT)) == [
        Dropped(DropReason.UNEXPECTED_STATE)
    ]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.floats(0, 0.4), st.integers(1, 4))
def test_restarts_on_a_bad_network_end_with_one_pair(seed: int, loss: float, times: int) -> None:
    random = Random(seed)

    def fate(_who: End, datagram: bytes) -> Iterable[float]:
        if is_stun(datagram) and random.random() < loss:
            return ()
        return (DELAY + random.random() * 0.05,)

    pair = Pair().connect()
    pair.fate = fate
    for n in range(times):
        local, remote = (
            IceCredentials(f"{who}{n:03}", f"{who}-password-{n:020}") for who in ("c", "s")
        )
        pair.do(End.SERVER, RestartIce(remote, local))
        pair.run(random.random())
        pair.do(End.CLIENT, RestartIce(local, remote))
        pair.run(random.random())
    pair.fate = lambda _end, _datagram: (DELAY,)
    pair.run(8.0)
    assert pair.connected
    # Of the generations there were, all but the last are dead.
    assert len(pair.outputs(End.SERVER, CredentialsRetired)) == times
    last = check(username=f"s{times - 1:03}:c{times - 1:03}", key=b"s-password-%020d" % (times - 1))
    outputs = pair.inject(End.SERVER, Path(Transport.UDP, CLIENT, SERVER), last)
    assert any(isinstance(output, SendDatagram) for output in outputs)
