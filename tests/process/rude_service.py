"""A back end that behaves badly: `rude_service.py ENDPOINT HOW`.

mute: never accepts. old: speaks another version. vanish: ends without a word at the first audio.
flood: sends more audio than may wait. garbage: sends what is no batch, and items that make no sense.
"""

from __future__ import annotations

import sys

import trio

from ipc.backend.codec import decode_to_backend, encode_batch
from ipc.backend.messages import (
    Accept,
    AudioIn,
    AudioOut,
    ChannelOpened,
    Credit,
    DataOut,
    Dtmf,
    Flush,
    FromBackend,
    Heartbeat,
    Hello,
    OpenChannel,
    SessionStarted,
)
from ipc.zmq_trio import Pattern, ZmqSocket

MANY = 4000


def batch(*items: FromBackend) -> bytes:
    """Its bytes."""
    return encode_batch(items)


def nonsense(session: str) -> list[bytes]:
    """Batches that cannot be heeded."""
    items: list[FromBackend] = [
        AudioOut("nobody", b"x"),
        AudioOut(session, bytes(60_000)),
        AudioOut(session, b""),
        AudioOut(session, b"x", "x" * 60_000),
        DataOut(session, 99, b"x"),
        DataOut(session, -1, b"\xff", text=True),
        Dtmf(session, "Z"),
        Dtmf(session, "5", -5),
        OpenChannel(session, "x" * 60_000),
        Flush(session, "never heard of"),
        Accept(session),
        Credit(-(1 << 40)),
    ]
    whole = batch(*items)
    # The last two are more than a batch may have, and more than a link takes: it begins anew.
    alone = [batch(item) for item in items]
    return [b"\xc1\xff", b"", whole[:-3], *alone, bytes(2 << 20), bytes(3 << 20)]


async def main(endpoint: str, how: str) -> None:
    """Until somebody ends it, or `vanish` does."""
    with ZmqSocket(Pattern.ROUTER) as socket:
        socket.bind(endpoint)
        while True:
            peer, data = await socket.receive()
            answers: list[bytes] = [batch(Heartbeat())]
            for item in decode_to_backend(data):
                match item:
                    case Hello():
                        version = 9 if how == "old" else 1
                        hello = Hello("rude", version, "1")
                        answers.append(batch(hello, Credit(MANY)))
                    case SessionStarted(session=session) if how != "mute":
                        answers.append(batch(Accept(session)))
                        if how == "flood":
                            flood = batch(*[AudioOut(session, bytes(80))] * MANY)
                            answers += [flood] * 3
                        elif how == "garbage":
                            answers += nonsense(session)
                    case ChannelOpened(session=session, channel=channel) if how == "garbage":
                        answers.append(batch(DataOut(session, channel, bytes(300_000))))
                    case AudioIn() if how == "vanish":
                        return
                    case _:
                        pass
            for answer in answers:
                socket.send_nowait([peer, answer])


if __name__ == "__main__":
    trio.run(main, sys.argv[1], sys.argv[2])
