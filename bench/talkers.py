"""Calls that speak a voice in Opus: `python -m bench.talkers URL COUNT RATE SECONDS`, one JSON object.

`tandem call` speaks silence, which costs a decoder and an encoder next to nothing. What comes back of a
voice that was decoded and encoded is no frame that anybody knows again, so it counts as foreign.
"""

from __future__ import annotations

import json
import sys
from typing import Final

import trio

from bench.codecs import voice
from workers.caller.phone import Phone, Plan
from workers.caller.source import OPUS_STEP
from workers.transceiver.audio.opus import OpusEncoder

RATE: Final = 16_000
SECONDS: Final = 2.0
"""Of voice, said over and over."""


class OpusVoice:
    """Something that a codec takes for speech, encoded once for all calls."""

    codec = "opus"
    step = OPUS_STEP

    def __init__(self) -> None:
        encoder = OpusEncoder(RATE)
        self._frames = [encoder.encode(pcm) for pcm in voice(RATE, SECONDS)]

    def frame(self, index: int) -> bytes:
        """That many frames from the beginning."""
        return self._frames[index % len(self._frames)]

    def index_of(self, payload: bytes, elapsed: int) -> None:
        """Who has encoded it anew has made another frame."""


def main(url: str, count: str, rate: str, seconds: str) -> None:
    """Place the calls; print what `tandem call --json` would."""
    plan = Plan(url, int(count), float(seconds), float(rate), 30.0, OpusVoice())
    phone = Phone(plan)
    trio.run(phone.run)
    late = round(phone.latest * 1000, 2)
    print(json.dumps({**phone.report.fields(), "tick_late_max_ms": late}))


if __name__ == "__main__":
    main(*sys.argv[1:])
