from __future__ import annotations

from tests.support.interop import PAGE, page, shown


def test_the_page_is_what_the_tests_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "python -m tests.support.interop"


def test_every_client_is_heard() -> None:
    heard = {client for client, feature, _ in shown() if feature == "audio"}
    assert heard == {"Chromium", "Firefox", "Pion", "GStreamer", "aiortc"}
