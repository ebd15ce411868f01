"""The caller in memory behaves as the real thing does."""

from __future__ import annotations

from ipc.backend.fake import FakeCaller
from ipc.backend.messages import AudioOut, PlaybackEvent


async def test_a_pause_stops_the_clock_and_nothing_is_lost() -> None:
    caller = FakeCaller()
    await caller.call.play([b"a", b"b"], "greeting")
    caller.listen(20)
    caller.call.pause()
    caller.listen(1000)
    assert caller.heard == b"a"
    caller.call.resume()
    caller.listen(1000)
    assert caller.heard == b"ab"
    caller.hang_up()
    events = [event.event async for event in caller.call.playback]
    assert events == [
        PlaybackEvent.STARTED,
        PlaybackEvent.PROGRESS,
        PlaybackEvent.PROGRESS,
        PlaybackEvent.DRAINED,
    ]


async def test_waiting_for_what_the_agent_does() -> None:
    caller = FakeCaller()
    await caller.call.play([b"a"])
    assert isinstance(await caller.until_said(AudioOut), AudioOut)


async def test_channels_get_numbers_of_their_own() -> None:
    caller = FakeCaller()
    caller.open_channel()
    caller.call.open_channel("events")
    assert {c.label for c in caller.call.channels.values()} == {"chat", "events"}
