"""An application beside a call: a client of wsproto, a real server, what it hears and says."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest
import trio
import trio.testing
from wsproto.events import BytesMessage, CloseConnection, TextMessage

from ipc.backend.messages import MAX_PAYLOAD
from ipc.messages.routes import Transceivers
from ipc.messages.sessions import CloseReason, CreateSession
from tests.support.access import KEY, OTHER_KEY, Keyring, line
from tests.support.signaling import OFFER, Running, running_server, with_limits
from tests.support.websocket import Closed, Rejected, WebSocketClient, websocket
from workers.signaling import sidebands as asking
from workers.signaling.grants import Grant
from workers.transceiver.backends.sidebands import MAX_SIDEBANDS

PATH = "/v1/realtime"


async def placed(running: Running, key: str = "") -> str:
    claims = {"key": key} if key else {}
    return (await running.switchboard.create(CreateSession(offer=OFFER, claims=claims))).session


def beside(session: str) -> str:
    return f"{PATH}?call_id={session}"


async def rejected(running: Running, path: str, **wishes: object) -> Rejected:
    with pytest.raises(Rejected) as raised:
        async with websocket(running.port, path, **wishes):  # type: ignore[arg-type]
            pass
    return raised.value


async def closed(client: WebSocketClient) -> tuple[int, str]:
    with trio.fail_after(10):
        while True:
            event = await client.event()
            if isinstance(event, CloseConnection):
                return int(event.code), event.reason or ""


async def test_it_hears_the_call_and_is_heard_until_the_call_ends() -> None:
    async with running_server() as running:
        session = await placed(running)
        other = await placed(running)
        async with (
            websocket(running.port, beside(session)) as client,
            websocket(running.port, beside(session) + "&model=x") as second,
        ):
            assert client.subprotocol is None
            running.transceivers.says(other, '{"type": "of another call"}')
            for number in range(5):
                running.transceivers.says(session, json.dumps({"type": "event", "n": number}))
            for each in (client, second):
                heard = [await each.hear() for _ in range(5)]
                assert heard == [{"type": "event", "n": number} for number in range(5)]
            await client.say("response.create")
            with trio.fail_after(10):
                while not running.transceivers.said:
                    await trio.sleep(0.01)
            assert json.loads(running.transceivers.said[0]) == {"type": "response.create"}
            running.transceivers.says(session, '{"type": "last"}')
            await running.switchboard.end(session)
            assert await client.hear() == {"type": "last"}
            assert await closed(client) == (1000, "hangup")
            assert await closed(second) == (1000, "hangup")
        assert running.server.guarded == 0
        assert running.sidebands.counters == {"opened": 2}


async def test_a_socket_that_goes_is_forgotten_and_the_call_goes_on() -> None:
    async with running_server() as running:
        session = await placed(running)
        for _ in range(2 * MAX_SIDEBANDS):
            async with websocket(running.port, beside(session)) as client:
                await client.send_event(CloseConnection(code=1000))
                with trio.fail_after(10):
                    while any(running.transceivers.members.values()):
                        await trio.sleep(0.01)
        assert session in running.transceivers.sessions


async def test_what_is_refused() -> None:
    async with running_server(most_sidebands=MAX_SIDEBANDS + 1) as running:
        session = await placed(running)
        for path, status, slug in (
            (PATH, 400, "malformed-request"),
            (beside(""), 400, "malformed-request"),
            (beside("rtc_7_unknown"), 404, "unknown-session"),
            (beside("x" * 6000), 404, "unknown-session"),
            (beside(session[:-1] + ("a" if session[-1] != "a" else "b")), 404, "unknown-session"),
        ):
            refused = await rejected(running, path)
            assert (refused.status, refused.problem["type"]) == (
                status,
                f"urn:tandem:problem:{slug}",
            )
        async with AsyncExitStack() as stack:
            for _ in range(MAX_SIDEBANDS):
                await stack.enter_async_context(websocket(running.port, beside(session)))
            crowded = await rejected(running, beside(session))
            assert (crowded.status, crowded.problem["type"]) == (
                429,
                "urn:tandem:problem:too-many-sidebands",
            )
            another = await placed(running)
            await stack.enter_async_context(websocket(running.port, beside(another)))
            busy = await rejected(running, beside(another))
            assert (busy.status, busy.problem["type"]) == (503, "urn:tandem:problem:busy")
            assert int(busy.headers["retry-after"]) > 0
        with trio.fail_after(10):  # there is room again
            while any(running.transceivers.members.values()):
                await trio.sleep(0.01)
        async with websocket(running.port, beside(session)):
            pass
        assert running.server.guarded == 0


async def test_it_takes_the_api_key_that_the_call_was_placed_with(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path)
    keyring.write(line("shop", KEY) + line("other", OTHER_KEY))
    secret = keyring.access.mint(Grant(key="shop"), Grant(), 60).value
    async with running_server(access=keyring.access) as running:
        session = await placed(running, "shop")

        async def status(bearer: str) -> int:
            headers = [("authorization", f"Bearer {bearer}")] if bearer else []
            return (await rejected(running, beside(session), headers=headers)).status

        assert await status("") == 401
        assert await status("x" * 40) == 401
        assert await status(secret) == 403
        assert await status(OTHER_KEY) == 404  # no word about whether it is there
        headers = [("authorization", f"Bearer {KEY}")]
        async with websocket(running.port, beside(session), headers=headers) as client:
            running.transceivers.says(session, "{}")
            assert await client.hear() == {}


@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
async def test_pages_of_other_origins_may_not(origin: str) -> None:
    async with running_server() as running:
        session = await placed(running)
        refused = await rejected(running, beside(session), headers=[("origin", origin)])
        assert refused.status == 403


async def test_the_subprotocol_of_the_realtime_api_is_chosen_if_offered() -> None:
    async with running_server() as running:
        session = await placed(running)
        async with websocket(
            running.port, beside(session), subprotocols=["x", "realtime"]
        ) as client:
            assert client.subprotocol == "realtime"


async def test_messages_are_bounded_and_text() -> None:
    async with running_server(limits=with_limits(max_body=1 << 20)) as running:
        session = await placed(running)
        for message, code in (
            (TextMessage(data="x" * (MAX_PAYLOAD + 1)), 1009),
            (TextMessage(data="é" * (MAX_PAYLOAD // 2 + 1)), 1009),
            (BytesMessage(data=b"{}"), 1003),
        ):
            async with websocket(running.port, beside(session)) as client:
                await client.send_event(message)
                assert (await closed(client))[0] == code
        async with websocket(running.port, beside(session)) as client:
            await client.send_event(TextMessage(data="x" * MAX_PAYLOAD))
            with trio.fail_after(10):
                while running.transceivers.said != ["x" * MAX_PAYLOAD]:
                    await trio.sleep(0.01)
        assert running.server.guarded == 0


async def test_who_does_not_read_is_cut_and_costs_nobody_else() -> None:
    async with running_server(limits=with_limits(request_timeout=0.5)) as running:
        session = await placed(running)
        async with (
            websocket(running.port, beside(session)) as slow,
            websocket(running.port, beside(session)) as quick,
        ):
            event = json.dumps({"type": "event", "x": "x" * 60_000})
            with trio.fail_after(30):
                while len(running.transceivers.members[session]) == 2:  # type: ignore[index]
                    running.transceivers.says(session, event)
                    assert (await quick.hear())["type"] == "event"
            assert running.sidebands.counters["cut"] == 1
            with trio.fail_after(10), suppress(Closed, trio.BrokenResourceError):
                while True:
                    await slow.hear()
            running.transceivers.says(session, event)
            await quick.hear()
        assert running.server.guarded == 0


async def test_a_transceiver_that_does_not_answer_or_is_gone() -> None:
    async with running_server() as running:
        session = await placed(running)
        async with websocket(running.port, beside(session)) as client:
            running.transceivers.silent |= {"fake-0", "fake-1"}
            await client.say("response.create")
            assert (await closed(client))[0] == 1011
            running.transceivers.silent.clear()
        async with websocket(running.port, beside(session)) as client:
            running.switchboard.update(Transceivers(entries=(), draining=True))
            running.transceivers.says(session, "{}")  # so that it is asked again
            assert await closed(client) == (1000, "drained its transceiver is gone")
        assert running.server.guarded == 0


async def test_an_event_for_a_call_that_has_just_ended_waits_for_why() -> None:
    async with running_server() as running:
        session = await placed(running)
        async with websocket(running.port, beside(session)) as client:
            del running.transceivers.sessions[session]  # type: ignore[arg-type]
            await client.say("response.create")
            with trio.fail_after(10):
                while (
                    not running.transceivers.asked["fake-0"] + running.transceivers.asked["fake-1"]
                ):
                    await trio.sleep(0.01)
            running.transceivers.happens(session, CloseReason.PEER_CLOSED)  # type: ignore[arg-type]
            assert await closed(client) == (1000, "peer_closed")


async def test_a_reader_that_the_transceiver_has_forgotten_ends_its_sockets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running_server() as running:
        session = await placed(running)
        async with websocket(running.port, beside(session)) as client:
            running.transceivers.says(session, "{}")
            await client.hear()
            for audience in running.transceivers.audiences.values():
                monkeypatch.setattr(audience, "_readers", {})
            code, reason = await closed(client)
            assert code == 1011
            assert "too long" in reason


async def test_a_drain_tells_the_sockets() -> None:
    async with running_server() as running:
        session = await placed(running)
        async with websocket(running.port, beside(session)) as client:
            running.draining.set()
            assert (await closed(client))[0] == 1001
            await client.stream.aclose()
            with trio.fail_after(10):
                await running.done.wait()
            assert running.transceivers.sessions


async def test_a_plain_request_is_told_to_switch() -> None:
    async with running_server() as running, await running.connect() as stream:
        await stream.send_all(b"GET /v1/realtime HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"426" in bytes(await stream.receive_some(65_536)).partition(b"\r\n")[0]


def test_the_bounds_of_both_ends_are_the_same() -> None:
    from workers.transceiver import audience

    assert (asking.MAX_WAITING, asking.MAX_BYTES) == (audience.MAX_WAITING, audience.MAX_BYTES)
