"""What the bench of decoded calls says of what it saw."""

from __future__ import annotations

from typing import Any

from bench.talkers import OpusVoice
from bench.transceiver_pcm import pcm_fields
from workers.transceiver.audio.opus import OpusDecoder

REPORT: dict[str, Any] = {
    "sessions_ok": 60,
    "packets_sent": 600,
    "packets_foreign": 400,
    "packets_lost_up": 0,
    "packets_lost_down": 0,
    "tick_late_max_ms": 2.0,
}


def test_what_is_lost_on_the_way_and_what_is_left_out_both_count() -> None:
    assert pcm_fields(REPORT, 1000, 1000, 0.2, 0.5)["pcm_lost"] == 0
    assert pcm_fields(REPORT, 1000, 900, 0.2, 0.5)["pcm_lost"] == 0.1
    lossy = {**REPORT, "packets_lost_up": 30, "packets_lost_down": 20}
    assert pcm_fields(lossy, 1000, 1001, 0.2, 0.5)["pcm_lost"] == 0.05


def test_the_price_is_that_of_what_was_said_back() -> None:
    assert pcm_fields(REPORT, 1000, 1000, 0.2, 0.5)["pcm_us_per_frame"] == 200
    assert pcm_fields(REPORT, 0, 0, 0.2, 0.5)["pcm_lost"] == 1


def test_the_voice_is_one_that_an_encoder_has_work_with() -> None:
    voice, decoder = OpusVoice(), OpusDecoder(16_000)
    loudest = 0
    for index in range(50):
        pcm = decoder.decode(voice.frame(index))
        loudest = max(loudest, *memoryview(pcm).cast("h"))
    assert loudest > 3000
    assert voice.frame(0) == voice.frame(100)
