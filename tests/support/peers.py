"""What interop tests share: sound to speak, a browser to speak it, an appliance that peers can reach."""

from __future__ import annotations

import math
import shutil
import struct
import wave
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import BrowserContext, expect, sync_playwright

from tests.support.appliance import free_udp_port

CHROMIUM: Final = Path("/usr/bin/chromium")
RATE: Final = 48_000
PATIENCE: Final = 60_000.0
"""Milliseconds that a page may take for what it is to show: on a busy machine Playwright's own are few."""

REMEMBER_PEERS: Final = """
window.peers = [];
window.RTCPeerConnection = class extends window.RTCPeerConnection {
  constructor(...settings) { super(...settings); window.peers.push(this); }
};
"""
"""Lets a test ask the page's own connections for statistics; the page does not publish them."""

STATS: Final = """
async () => {
  const all = [...(await window.peers.at(-1).getStats()).values()];
  const one = (type) => all.find((report) => report.type === type && report.kind === "audio") ?? {};
  const heard = one("inbound-rtp"), said = one("outbound-rtp");
  return { energy: heard.totalAudioEnergy ?? 0, seconds: heard.totalSamplesDuration ?? 0,
           received: heard.packetsReceived ?? 0, lost: heard.packetsLost ?? 0,
           sent: said.packetsSent ?? 0, state: window.peers.at(-1).connectionState };
}
"""


def reachable() -> dict[str, dict[str, Any]]:
    """Overrides for an appliance on the machine's own addresses, as `tandem run` has by default.

    Browsers and aiortc leave loopback out of their candidates.
    """
    port = free_udp_port()
    return {"relay": {"listen": [f"0.0.0.0:{port}", f"[::]:{port}"]}}


def write_voice(path: Path, seconds: float = 4.0) -> Path:
    """A WAV that a noise suppressor takes for a voice: harmonics in syllables, a few a second."""
    samples = bytearray()
    for n in range(int(seconds * RATE)):
        t = n / RATE
        syllable = max(0.0, math.sin(2 * math.pi * 3 * t)) ** 2
        pitch = 140 + 40 * math.sin(2 * math.pi * 0.7 * t)
        tone = sum(math.sin(2 * math.pi * pitch * k * t) / k for k in range(1, 9))
        samples += struct.pack("<h", int(9000 * syllable * tone))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples)
    return path


@contextmanager
def chromium(
    directory: Path,
    *,
    permissions: Sequence[str] = ("microphone",),
    flags: Sequence[str] = (),
    voice: str = "",
    executable: Path = CHROMIUM,
    **context: Any,
) -> Iterator[BrowserContext]:
    """A headless browser with a fake microphone and no flags but those. For a thread, not for trio.

    `executable`: what becomes Chromium, if it needs something around it.

    `voice`: the WAV that it speaks, over and over unless the name ends with `%noloop`.
    """
    if not CHROMIUM.exists() and shutil.which("chromium") is None:
        raise AssertionError(
            f"{CHROMIUM} is missing: run `make test`, which installs it (or apt install chromium)"
        )
    voice = voice or str(write_voice(directory / "voice.wav"))
    microphone = [
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={voice}",
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=[*microphone, *flags])
        try:
            made = browser.new_context(permissions=list(permissions), **context)
            made.add_init_script(REMEMBER_PEERS)
            expect.set_options(timeout=PATIENCE)
            made.set_default_timeout(PATIENCE)
            yield made
        finally:
            browser.close()
