"""The calls of a worker: the key, the end, and what is counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trio

from config.model import LogSection
from ipc.backend.fake import FakeCaller
from ipc.backend.messages import SessionStarted
from ipc.log import open_log
from tests.support.realtime_server import realtime_server
from workers.realtime.shell import FORMAT, Bridges


def bridges(url: str, key_file: Path | str = "", model: str = "") -> Bridges:
    return Bridges(url, str(key_file), model, open_log(LogSection(), "realtime-0"))


async def test_the_operators_model_and_key_are_asked_with(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("one\n")
    caller = FakeCaller(audio=FORMAT, claims={"session": {"model": "theirs"}})
    async with realtime_server() as server, trio.open_nursery() as nursery:
        worker = bridges(server.url, key, "ours")
        nursery.start_soon(worker.talk, caller.call)
        line = await server.line()
        assert line.authorization == "Bearer one"
        assert line.target.endswith("?model=ours")
        assert (worker.live, worker.total) == (1, 1)
        key.write_text("two")
        assert worker.key() == "two"
        caller.hang_up()
        await worker.until_empty()
        assert worker.live == 0
        assert not worker.failed


@pytest.mark.parametrize("text", ["", "two words", "\x00", "ü"])
def test_what_is_no_key(tmp_path: Path, text: str) -> None:
    file = tmp_path / "key"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"key|ascii"):
        bridges("ws://x/", file).key()


async def test_a_key_that_is_gone_ends_the_call_with_a_reason(tmp_path: Path) -> None:
    caller = FakeCaller(audio=FORMAT)
    worker = bridges("ws://127.0.0.1:1/", tmp_path / "nothing")
    await worker.talk(caller.call)
    assert caller.hung_up
    assert worker.failed == {"upstream_key": 1}


async def test_lines_of_the_log_say_which_session(capfd: pytest.CaptureFixture[str]) -> None:
    caller = FakeCaller(audio=FORMAT, session="rtc_0_mine")
    worker = bridges("ws://127.0.0.1:1/")
    await worker.talk(caller.call)
    worker.crashed(caller.call, RuntimeError("a bug"))
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [line["event"] for line in lines] == ["server failed", "call crashed"]
    assert {line["session"] for line in lines} == {"rtc_0_mine"}


async def test_what_was_lost_is_kept_when_the_call_is_over() -> None:
    caller = FakeCaller(audio=FORMAT)
    for _ in range(300):
        caller.speak(bytes(960))
    worker = bridges("ws://127.0.0.1:1/")
    await worker.talk(caller.call)
    assert worker.failed == {"upstream_unreachable": 1}
    assert worker.dropped["audio_not_taken"] == 50


def test_a_worker_that_drains_wants_no_calls() -> None:
    worker = bridges("ws://x/")
    started = SessionStarted("rtc_0_x", "realtime")
    assert worker.screen(started) == ""
    worker.wanted = False
    assert worker.screen(started) == "draining"
