"""What end points say over real sockets, and how much of it at a time."""

from __future__ import annotations

from pathlib import Path

import trio

from ipc.backend.codec import MAX_ITEMS, encode_batch
from ipc.backend.messages import HangUp, Hello
from ipc.zmq_trio import Pattern, ZmqSocket
from tests.support.short_path import short_directory as short_directory
from workers.transceiver.audio.voice import Voice
from workers.transceiver.backends.links import TURN, Links
from workers.transceiver.backends.remote import Remote


async def test_who_never_stops_talking_is_heard_a_piece_at_a_time(short_directory: Path) -> None:
    endpoint = f"ipc://{short_directory}/b"
    remote = Remote(
        "agent", Hello("t", instance="t"), [endpoint], buffer=1.0, entropy=bytes, make_voice=Voice
    )
    mistakes = encode_batch([HangUp("nobody")] * MAX_ITEMS)
    at_a_time = MAX_ITEMS * (TURN // len(mistakes) + 1)
    told = 0
    with Links(remote) as links, ZmqSocket(Pattern.ROUTER) as backend, trio.fail_after(60):
        backend.bind(endpoint)
        while True:
            links.keep_time(trio.current_time())
            links.flush(trio.current_time())
            if (heard := backend.receive_nowait()) is not None:
                break
            await trio.sleep(0.01)
        backend.send_nowait([heard[0], encode_batch([Hello("b", instance="b")])])
        for _ in range(50):
            assert backend.send_nowait([heard[0], mistakes])
        while told < 50 * MAX_ITEMS:
            links.take(trio.current_time())
            now = links.stats()[endpoint].mistakes.get("unknown_session", 0)
            assert now - told <= at_a_time
            told = now
            await trio.sleep(0.001)
