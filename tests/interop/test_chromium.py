"""Chromium on the demo page, against a whole appliance: what is said comes back."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
import trio
from playwright.sync_api import Page, expect

from ipc.messages.admin import StatusReply
from ipc.messages.stats import RelayStats, SignalingStats, TransceiverStats
from tests.support.appliance import running_appliance
from tests.support.interop import shows
from tests.support.peers import STATS, chromium, reachable

pytestmark = pytest.mark.interop

Stats = TypeVar("Stats", RelayStats, SignalingStats, TransceiverStats)

WITHIN = 60_000
"""Milliseconds until something must have happened; real machines need a hundredth of it."""
LIVE, FAILED, ENDED = (f"html[data-state={state}]" for state in ("live", "failed", "ended"))


def of(kind: type[Stats], status: StatusReply) -> Stats:
    """The statistics of the one worker that publishes that kind."""
    for worker in status.workers:
        if isinstance(worker.stats, kind):
            return worker.stats
    raise LookupError(f"no {kind.__name__} yet")


def until(page: Page, script: str, argument: object = None) -> Any:
    """Evaluate until it is truthy (the page's policy forbids `wait_for_function`)."""
    for _ in range(WITHIN // 100):
        if result := page.evaluate(script, argument):
            return result
        page.wait_for_timeout(100)
    raise AssertionError(f"never true: {script}; {page.evaluate(STATS)}; {page.inner_text('main')}")


def open_page(context: Any, url: str) -> tuple[Page, list[str]]:
    """The demo page and the errors it will report."""
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on(
        "console",
        lambda line: errors.append(line.text) if line.type == "error" else None,
    )
    page.goto(url)
    return page, errors


def beside_answers(errors: list[str]) -> list[str]:
    """Without those that only say how a request was answered."""
    return [error for error in errors if "Failed to load resource" not in error]


def talk(url: str, directory: Path) -> None:
    """Speak, hear, mute, unmute, hang up; with no flag but the microphone's."""
    louder = f"""async (before) => {{
      const now = await ({STATS})();
      const more = now.energy > before.energy + 0.01 && now.received > before.received + 20;
      return more && now.sent > before.sent + 20 ? now : null;
    }}"""
    with chromium(directory, viewport={"width": 1100, "height": 900}) as context:
        page, errors = open_page(context, url)
        page.screenshot(path=directory / "idle.png")
        page.click("#start")
        page.wait_for_selector(LIVE, timeout=WITHIN)
        before = page.evaluate(STATS)
        heard = until(page, louder, before)
        assert heard["state"] == "connected"
        until(page, "() => Number(document.getElementById('echo').ariaValueNow) > 20")
        until(page, "() => /ms/.test(document.querySelector('#rtt output').textContent)")
        page.screenshot(path=directory / "live.png")

        page.click("#mute")
        expect(page.locator("#headline")).to_have_text("Muted")
        quiet = (
            f"async () => {{ const one = await ({STATS})(); "
            "await new Promise((done) => setTimeout(done, 600)); "
            f"const two = await ({STATS})(); "
            "return two.received > one.received && two.energy - one.energy < 0.0005 }"
        )
        until(page, quiet)
        page.click("#mute")
        until(page, louder, page.evaluate(STATS))

        page.click("#hang-up")
        page.wait_for_selector(ENDED)
        expect(page.locator("#again")).to_be_focused()
        page.click("#again")
        page.wait_for_selector(LIVE, timeout=WITHIN)
        page.click("#hang-up")
        assert errors == []


@shows("Chromium", "audio")
async def test_what_is_said_comes_back(tmp_path: Path) -> None:
    async with running_appliance(tmp_path, reachable()) as appliance:
        await trio.to_thread.run_sync(talk, appliance.url, tmp_path)
        # The page's POST, or if that takes too long its close_notify.
        status = await appliance.until(
            lambda status: sum(of(TransceiverStats, status).closed.values()) == 2
        )
        assert set(of(TransceiverStats, status).closed) <= {"hangup", "peer_closed"}
        assert of(RelayStats, status).conserved
        assert of(SignalingStats, status).guarded == 0


def interrupted(url: str, directory: Path) -> None:
    """The server ends the call twice: the page comes back once by itself, then says so."""
    with chromium(directory) as context:
        page, errors = open_page(context, url)
        locations: list[str] = []
        page.on(
            "response",
            lambda response: (
                locations.append(response.headers["location"]) if response.status == 201 else None
            ),
        )
        page.click("#start")
        page.wait_for_selector(LIVE, timeout=WITHIN)
        context.request.post(f"{url}{locations[0]}/hangup")
        until(page, "() => window.peers.length === 2")
        page.wait_for_selector(LIVE, timeout=WITHIN)
        assert len(locations) == 2
        context.request.post(f"{url}{locations[1]}/hangup")
        page.wait_for_selector(FAILED, timeout=WITHIN)
        expect(page.locator("#headline")).to_have_text("The server ended the call")
        page.screenshot(path=directory / "lost.png")
        assert errors == []


def bereft(url: str, directory: Path, kill: Callable[[], None]) -> float:
    """The transceiver of a call is gone: seconds until the page has another one by itself."""
    with chromium(directory) as context:
        page, errors = open_page(context, url)
        page.click("#start")
        page.wait_for_selector(LIVE, timeout=WITHIN)
        page.evaluate("() => { window.killed = performance.now(); }")
        kill()
        until(page, "() => window.peers.length === 2")
        page.wait_for_selector(LIVE, timeout=WITHIN)
        took = float(page.evaluate("() => performance.now() - window.killed")) / 1000
        page.click("#hang-up")
        page.wait_for_selector(ENDED)
        assert beside_answers(errors) == []
        return took


@shows("Chromium", "a new call when the transceiver died")
@pytest.mark.parametrize("transceivers", [1, 2])
async def test_a_call_whose_transceiver_died_is_placed_again(
    tmp_path: Path, transceivers: int
) -> None:
    config = reachable() | {"transceiver": {"workers": transceivers}}
    async with running_appliance(tmp_path, config) as appliance:

        def kill() -> None:
            (row,) = trio.from_thread.run(appliance.sessions).rows
            worker = trio.from_thread.run(appliance.worker, row.worker)
            os.kill(worker.pid, signal.SIGKILL)

        took = await trio.to_thread.run_sync(bereft, appliance.url, tmp_path, kill)
        print(f"{transceivers} transceivers: another call {took:.2f} s after the kill")
        # By ICE alone it is 15 and more; a machine at rest takes a fraction of one.
        assert took < 10.0


@shows("Chromium", "a new call after a broken one")
async def test_a_broken_call_is_tried_once_more(tmp_path: Path) -> None:
    async with running_appliance(tmp_path, reachable()) as appliance:
        await trio.to_thread.run_sync(interrupted, appliance.url, tmp_path)


def troubles(url: str, directory: Path) -> None:
    """Every failure says what it is, fits a narrow screen and can be tried again."""
    narrow = {"width": 320, "height": 700}
    with chromium(directory, permissions=(), viewport=narrow, color_scheme="dark") as context:
        page, errors = open_page(context, url)
        page.click("#start")
        page.wait_for_selector(FAILED, timeout=WITHIN)
        expect(page.locator("#headline")).to_have_text("The microphone is blocked")
        page.screenshot(path=directory / "denied.png")

        context.grant_permissions(["microphone"])
        page.route(
            "**/v1/realtime/calls",
            lambda route: route.fulfill(
                status=503,
                headers={"Retry-After": "1", "Content-Type": "application/problem+json"},
                body='{"title": "All transceivers are full", "detail": "no room is left"}',
            ),
        )
        page.click("#again")
        expect(page.locator("#headline")).to_have_text("All transceivers are full", timeout=WITHIN)
        expect(page.locator("#detail")).to_have_text("no room is left. Try again in 1 s.")
        page.screenshot(path=directory / "full.png")

        page.unroute("**/v1/realtime/calls")
        page.route(
            "**/v1/realtime/calls",
            lambda route: route.fulfill(status=401, body='{"detail": "send one"}'),
        )
        page.click("#again")
        expect(page.locator("#headline")).to_have_text("This page has no key", timeout=WITHIN)
        expect(page.locator("#detail")).to_contain_text("send one.")

        page.unroute("**/v1/realtime/calls")
        page.route("**/v1/realtime/calls", lambda route: route.abort())
        page.click("#again")
        expect(page.locator("#headline")).to_have_text("The server did not answer", timeout=WITHIN)

        page.unroute("**/v1/realtime/calls")
        page.click("#again")
        page.wait_for_selector(LIVE, timeout=WITHIN)
        assert page.evaluate("document.documentElement.scrollWidth") <= narrow["width"]
        page.screenshot(path=directory / "narrow.png")
        assert beside_answers(errors) == []


async def test_failures_say_what_they_are(tmp_path: Path) -> None:
    async with running_appliance(tmp_path, reachable()) as appliance:
        await trio.to_thread.run_sync(partial(troubles, appliance.url, tmp_path))
