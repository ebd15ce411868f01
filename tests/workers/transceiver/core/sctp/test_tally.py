"""What is carried is counted once, what is sent again is, too."""

from __future__ import annotations

from tests.support.network import drop_nth
from tests.support.sctp import B, Couple
from workers.transceiver.core.sctp.interface import ChannelOpened, OpenChannel, SendMessage
from workers.transceiver.core.sctp.tally import Tally


def counts(tally: Tally) -> dict[str, int]:
    return {name: getattr(tally, name) for name in Tally.__slots__}


def test_messages_of_both_ways_and_what_was_lost() -> None:
    couple = Couple().connect()
    couple.a.do(OpenChannel("chat"))
    couple.network.run_until(lambda: couple.b.of(ChannelOpened), within=30)
    couple.leg.filters.append(drop_nth(1, lambda transit: transit.destination == B))
    couple.a.do(SendMessage(0, bytes(5000)))
    couple.a.do(SendMessage(0, b"", text=True))
    couple.a.do(SendMessage(7, b"to nobody"))
    couple.b.do(SendMessage(0, b"four"))
    couple.network.run(5)
    one, other = counts(couple.a.tally), counts(couple.b.tally)
    assert one.pop("resent") >= 1
    assert other.pop("resent") == 0
    assert one == {"messages_in": 1, "messages_out": 2, "bytes_in": 4, "bytes_out": 5000}
    assert other == {"messages_in": 2, "messages_out": 1, "bytes_in": 5000, "bytes_out": 4}
