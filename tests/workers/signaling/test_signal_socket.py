"""Calls over the signaling WebSocket: a client of wsproto, a real server, real news."""

from __future__ import annotations

import json
import socket
import struct
from pathlib import Path

import pytest
import trio
import trio.testing
from wsproto.events import BytesMessage, TextMessage

from ipc.messages.routes import Transceivers
from ipc.messages.sessions import CloseReason
from tests.support.access import Keyring
from tests.support.signaling import (
    ANSWER,
    FRAGMENT,
    ICE,
    OFFER,
    Running,
    running_server,
    with_limits,
)
from tests.support.websocket import Closed, Rejected, WebSocketClient, websocket
from workers.signaling import signal_socket
from workers.signaling.grants import Grant

GRANT = Grant(metadata={"user": 7})


async def place(client: WebSocketClient, **fields: object) -> str:
    answer = await client.ask("offer", id=1, sdp=OFFER, **fields)
    assert answer["type"] == "answer", answer
    session: str = answer["session"]
    return session


async def test_a_call_from_offer_to_its_end() -> None:
    async with running_server() as running, websocket(running.port) as client:
        fields = {"session": {"model": "other"}, "id": "a"}
        answer = await client.ask("offer", sdp=OFFER, **fields)
        session = answer.pop("session")
        assert answer == {"type": "answer", "id": "a", "sdp": ANSWER, "ice": ICE}
        (created,) = running.transceivers.sessions.values()
        assert created.backend == "other"
        assert created.claims == {"session": {"model": "other"}}
        running.transceivers.happens(session)
        assert await client.hear() == {"type": "connected", "session": session}
        trickled = await client.ask("trickle", id=2, fragment="a=candidate:1", ice=ICE)
        assert trickled == {"type": "trickled", "id": 2}
        assert running.transceivers.patches[-1].expected == (ICE,)
        restarted = await client.ask("restart", fragment="a=ice-ufrag:x")
        assert restarted == {
            "type": "restarted",
            "session": session,
            "fragment": FRAGMENT,
            "ice": "ice-2",
        }
        await client.say("hangup", id=3)
        heard = [await client.hear(), await client.hear()]
        assert {"type": "hungup", "id": 3} in heard
        assert {"type": "closed", "session": session, "reason": "hangup"} in heard
        assert not running.transceivers.sessions
        assert await place(client) != session
        assert running.server.guarded == 0


async def test_a_call_that_ends_by_itself_and_one_whose_transceiver_goes() -> None:
    async with running_server() as running, websocket(running.port) as client:
        session = await place(client)
        running.transceivers.happens(session, CloseReason.PEER_CLOSED)  # type: ignore[arg-type]
        closed = {"type": "closed", "session": session, "reason": "peer_closed"}
        assert await client.hear() == closed
        session = await place(client)
        running.transceivers.happens(session)  # type: ignore[arg-type]
        assert (await client.hear())["type"] == "connected"
        await trio.testing.wait_all_tasks_blocked(0.05)
        running.switchboard.update(Transceivers(entries=(), draining=True))
        running.transceivers.happens(session)  # type: ignore[arg-type]  # so that it is asked again
        assert (await client.hear())["type"] == "connected"
        gone = await client.hear()
        assert (gone["type"], gone["reason"]) == ("closed", "drained")


async def test_a_call_outlives_its_socket_and_another_takes_it_up() -> None:
    async with running_server() as running:
        async with websocket(running.port) as first:
            session = await place(first)
        async with websocket(running.port) as second:
            assert (await second.ask("hangup"))["problem"]["status"] == 404
            restarted = await second.ask("restart", fragment="a=x", session=session)
            assert restarted["session"] == session
            running.transceivers.happens(session, CloseReason.IDLE)  # type: ignore[arg-type]
            assert (await second.hear())["reason"] == "idle"


async def test_a_call_is_followed_from_another_socket() -> None:
    async with running_server() as running:
        async with websocket(running.port) as first:
            session = await place(first)
        async with websocket(running.port) as second:
            for _ in range(2):
                assert await second.ask("follow", session=session) == {"type": "followed"}
            other = await second.ask("follow", session="rtc_other")
            assert other["problem"]["status"] == 405
            running.transceivers.happens(session, CloseReason.IDLE)  # type: ignore[arg-type]
            closed = await second.hear()
            assert (closed["type"], closed["reason"]) == ("closed", "idle")
            unknown = await second.ask("follow", session="rtc_other")
            assert unknown["problem"]["status"] == 404


async def test_what_is_refused_is_said_as_in_http_and_the_socket_stays() -> None:
    async with running_server() as running, websocket(running.port) as client:
        for request, status, slug in (
            ({"type": "offer", "sdp": "hello", "id": 7}, 400, "malformed-sdp"),
            ({"type": "offer", "sdp": OFFER, "backend": "no", "id": 7}, 404, "unknown-backend"),
            ({"type": "trickle", "fragment": "a", "ice": "a", "id": 7}, 404, "unknown-session"),
            (
                {"type": "restart", "fragment": "a", "session": "rtc", "id": 7},
                404,
                "unknown-session",
            ),
            ({"type": "hangup", "session": "x" * 9000, "id": 7}, 404, "unknown-session"),
            ({"type": "offer", "id": 7}, 400, "malformed-request"),
            ({"type": "offer", "sdp": OFFER, "sesion": {}, "id": 7}, 400, "malformed-request"),
            ({"type": "answer", "id": 7}, 400, "malformed-request"),
        ):
            await client.send_event(TextMessage(data=json.dumps(request)))
            error = await client.hear()
            assert (error["type"], error["id"]) == ("error", 7)
            assert error["problem"]["status"] == status
            assert error["problem"]["type"] == f"urn:tandem:problem:{slug}"
        session = await place(client)
        assert (await client.ask("offer", sdp=OFFER))["problem"]["status"] == 405
        stale = await client.ask("trickle", fragment="a", ice="other")
        assert stale["problem"]["type"] == "urn:tandem:problem:stale-ice"
        assert [*running.transceivers.sessions] == [session]


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"type":1}', '{"a":' * 900, "\0", '"é"'])
async def test_what_is_no_message_is_told_and_too_much_of_it_ends_the_socket(text: str) -> None:
    async with running_server() as running, websocket(running.port) as client:
        for _ in range(signal_socket.MAX_UNREADABLE):
            await client.send_event(TextMessage(data=text))
            assert (await client.hear())["problem"]["status"] == 400
        with pytest.raises(Closed) as closed:
            await client.hear()
        assert closed.value.code == 1008
        assert running.server.guarded == 0


async def test_messages_are_bounded_and_text() -> None:
    async with running_server(limits=with_limits(max_body=8192)) as running:
        async with websocket(running.port) as client:
            await client.send_event(TextMessage(data="x" * 8193))
            with pytest.raises(Closed) as closed:
                await client.hear()
            assert closed.value.code == 1009
        async with websocket(running.port) as client:
            for _ in range(9):
                await client.send_event(TextMessage(data="x" * 1000, message_finished=False))
            with pytest.raises(Closed) as closed:
                await client.hear()
            assert closed.value.code == 1009
        async with websocket(running.port) as client:
            await client.send_event(BytesMessage(data=b"{}"))
            with pytest.raises(Closed) as closed:
                await client.hear()
            assert closed.value.code == 1003
        assert running.server.guarded == 0


async def rejected(running: Running, **wishes: object) -> Rejected:
    with pytest.raises(Rejected) as raised:
        async with websocket(running.port, **wishes):  # type: ignore[arg-type]
            pass
    return raised.value


async def test_keys_and_secrets_are_the_same_as_in_http(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path)
    secret = keyring.access.mint(Grant(key="shop"), GRANT, 60).value
    async with running_server(access=keyring.access) as running:
        for headers in ([], [("authorization", "Bearer " + "x" * 40)]):
            refused = await rejected(running, headers=headers)
            assert refused.status == 401
            assert refused.headers["www-authenticate"].startswith("Bearer")
            assert refused.problem["type"] == "urn:tandem:problem:unauthorized"
        bearer = [("authorization", f"Bearer {secret}")]
        async with websocket(running.port, headers=bearer) as client:
            assert client.subprotocol is None
            session = await place(client)
            (created,) = running.transceivers.sessions.values()
            assert created.claims["metadata"] == {"user": 7}
            keyring.now += 61
            await client.ask("hangup")
            assert (await client.hear())["type"] == "closed"
            replayed = await client.ask("offer", sdp=OFFER)
            assert replayed["problem"]["status"] == 401
        # What a page can do, and after the secret has expired: take up the call that it has placed.
        async with websocket(
            running.port, subprotocols=["tandem", f"tandem.bearer.{secret}"]
        ) as client:
            assert client.subprotocol == "tandem"
            assert (await client.ask("hangup", session=session))["problem"]["status"] == 404
        assert secret not in repr(running.server.responses)
        assert running.server.guarded == 0


@pytest.mark.parametrize(
    ("origin", "allowed", "status"),
    [
        ("https://evil.example", (), 403),
        ("null", (), 403),
        ("https://evil.example", ("https://app.example",), 403),
        ("https://app.example", ("https://app.example",), 101),
        ("https://evil.example", ("*",), 101),
    ],
)
async def test_pages_of_other_origins(origin: str, allowed: tuple[str, ...], status: int) -> None:
    async with running_server(cors_origins=allowed) as running:
        headers = [("origin", origin)]
        if status == 403:
            assert (await rejected(running, headers=headers)).status == 403
            return
        async with websocket(running.port, headers=headers) as client:
            await place(client)
            (created,) = running.transceivers.sessions.values()
            assert created.origin == origin


async def test_our_own_page_may() -> None:
    async with running_server() as running:
        origin = [("origin", f"http://127.0.0.1:{running.port}")]
        async with websocket(running.port, headers=origin) as client:
            await place(client)


async def test_an_answer_that_cannot_be_told_is_no_call() -> None:
    async with running_server() as running:
        slow = running.transceivers
        async with websocket(running.port) as client:
            slow.delay = 0.2
            await client.say("offer", sdp=OFFER)
            await trio.sleep(0.05)
            linger = struct.pack("ii", 1, 0)
            client.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)  # reset
        with trio.fail_after(10):
            while slow.asked.total() < 2 or slow.sessions:
                await trio.sleep(0.01)
        assert running.server.guarded == 0


async def test_a_socket_without_a_call_does_not_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signal_socket, "IDLE", 0.05)
    async with running_server() as running:
        async with websocket(running.port) as client:
            with pytest.raises(Closed) as closed, trio.fail_after(10):
                await client.hear()
            assert closed.value.code == 1000
        async with websocket(running.port) as client:
            await place(client)
            await trio.sleep(0.2)
            assert (await client.ask("trickle", fragment="a", ice=ICE))["type"] == "trickled"


async def test_a_drain_tells_the_sockets() -> None:
    async with running_server() as running, websocket(running.port) as client:
        await place(client)
        running.draining.set()
        with pytest.raises(Closed) as closed, trio.fail_after(10):
            await client.hear()
        assert closed.value.code == 1001
        await client.stream.aclose()
        with trio.fail_after(10):
            await running.done.wait()
        assert running.transceivers.sessions  # the call goes on
