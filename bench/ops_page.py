"""The picture of docs/operations.md: the ops page of an appliance with live calls, as Chromium draws it.

    python -m bench.ops_page [docs/ops-page.png]

It takes three minutes: calls that begin one after the other, and end; the picture shows two of them. It
needs pngquant, which makes a third of it (Debian has it).
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import time
from pathlib import Path
from typing import Final

from playwright.sync_api import sync_playwright

from bench.appliance import free_port, launched
from bench.browser import CHROMIUM

CALLS: Final = 24
BEGUN_PER_SECOND: Final = 0.2
SECONDS: Final = 60.0
"""Of each call: twelve live at a time."""
TAKEN_AFTER: Final = 115.0
WIDTH: Final = 1280
COLOURS: Final = "128"
_SECTIONS: Final = """\
[relay]
listen = {listen}
workers = 2
[transceiver]
workers = 2
"""


def main() -> None:
    """Draw it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path, nargs="?", default=Path("docs/ops-page.png"))
    path = parser.parse_args().path
    ops = _free_tcp()
    sections = _SECTIONS.format(listen=json.dumps([f"127.0.0.1:{free_port()}"]))
    with launched(sections, ops=[ops]) as appliance, sync_playwright() as playwright:
        began = time.monotonic()
        calls = appliance.call(count=CALLS, rate=BEGUN_PER_SECOND, seconds=SECONDS)
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        page = browser.new_page(viewport={"width": WIDTH, "height": 900}, color_scheme="light")
        page.goto(f"http://{ops}/")
        page.get_by_text("2 min", exact=True).click()
        page.wait_for_timeout((began + TAKEN_AFTER - time.monotonic()) * 1000)
        page.screenshot(path=path, full_page=True)
        subprocess.run(["pngquant", "--force", "--output", path, COLOURS, path], check=True)
        browser.close()
        report = calls.report()
    print(f"{path}: {report['sessions_ok']} calls, {report['packets_lost']} packets lost")


def _free_tcp() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


if __name__ == "__main__":
    main()
