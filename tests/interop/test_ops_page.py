"""Chromium on the ops page of an appliance with live calls: the page shows them, past and present."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import trio
from playwright.sync_api import BrowserContext, Page, expect

from tests.support.appliance import free_tcp_port, running_appliance
from tests.support.live_calls import CALLS, live_calls
from tests.support.peers import chromium

pytestmark = pytest.mark.interop

WITHIN = 60_000
"""Milliseconds until something must have happened."""


def open_page(browser: BrowserContext, url: str) -> tuple[Page, list[str], set[str]]:
    """The page, the errors it will report, and all that it asks for."""
    page, errors, asked = browser.new_page(), list[str](), set[str]()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    page.on("request", lambda request: asked.add(request.url))
    page.goto(url)
    return page, errors, asked


def look(directory: Path, url: str) -> None:
    with chromium(directory, viewport={"width": 360, "height": 740}) as browser:
        page, errors, asked = open_page(browser, url)
        expect(page.locator("#state")).to_have_text("ready", timeout=WITHIN)
        expect(page.locator("#workers tbody tr")).to_have_count(4)
        expect(page.locator("#sessions .open")).to_have_count(CALLS, timeout=WITHIN)
        expect(page.locator("#charts .curve").first).to_be_attached(timeout=WITHIN)
        expect(page.locator("#charts figure")).to_have_count(9)
        datagrams = page.locator("#charts figure", has_text="Datagrams")
        expect(datagrams.locator(".legend b").first).not_to_have_text("0", timeout=WITHIN)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360

        page.locator("#sessions .open").first.click()
        expect(page.locator(".detail figure")).to_have_count(3)
        expect(page.locator(".detail .facts")).to_contain_text("opus")
        page.locator("#filter").fill("no such session")
        expect(page.locator("#sessions .open")).to_have_count(0)
        page.locator("#filter").fill("transceiver-0")
        expect(page.locator("#sessions .open")).to_have_count(CALLS)

        # Who comes later is shown the past at once.
        page.get_by_text("2 min", exact=True).click()
        other, more_errors, more = open_page(browser, url)
        expect(other.locator("#charts .curve").first).to_be_attached(timeout=WITHIN)
        shown = "document.querySelector('#charts .curve').getAttribute('d').split('L').length"
        assert other.evaluate(shown) > 1
        assert errors + more_errors == []
        assert {address for address in asked | more if not address.startswith(url)} == set()


def look_at_a_gap(directory: Path, url: str) -> None:
    with chromium(directory) as browser:
        page, _, _ = open_page(browser, url)
        expect(page.locator("#state")).to_have_text("ready", timeout=WITHIN)
        page.route("**/data.json*", lambda route: route.abort())
        expect(page.locator("#state")).to_have_text("no answer", timeout=WITHIN)
        expect(page.locator("#warnings")).to_be_visible()
        page.unroute("**/data.json*")
        expect(page.locator("#state")).to_have_text("ready", timeout=WITHIN)
        expect(page.locator("#warnings")).to_be_hidden()


async def test_live_calls_are_seen(tmp_path: Path) -> None:
    port = free_tcp_port()
    config = {"ops": {"listen": [f"127.0.0.1:{port}"]}}
    async with (
        running_appliance(tmp_path, config) as appliance,
        live_calls(appliance) as calls,
    ):
        url = f"http://127.0.0.1:{port}/"
        await trio.to_thread.run_sync(partial(look, tmp_path, url))
        calls.hang_up()


async def test_an_answer_that_fails_is_said_and_asked_for_again(tmp_path: Path) -> None:
    port = free_tcp_port()
    async with running_appliance(tmp_path, {"ops": {"listen": [f"127.0.0.1:{port}"]}}):
        url = f"http://127.0.0.1:{port}/"
        await trio.to_thread.run_sync(partial(look_at_a_gap, tmp_path, url))
