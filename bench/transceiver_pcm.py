"""What a call costs that is decoded and encoded: calls to the back end `echo-pcm` that speak a voice."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any, Final

from bench.appliance import Appliance, Caller
from bench.usage import threads_cpu
from ipc.messages.stats import TransceiverStats

SESSIONS: Final = 60
"""The goal for one CPU."""
RATE: Final = 50
"""Calls placed a second."""
START: Final = 2.0
"""Seconds until the caller has a voice and all its calls talk, beyond those for placing them."""


def measure_pcm(appliance: Appliance, *, seconds: float) -> dict[str, Any]:
    """So many calls, watched for `seconds`: CPU for each frame that is decoded and encoded."""
    pid, lead = appliance.worker("transceiver").pid, SESSIONS / RATE + START
    talk = [SESSIONS, RATE, lead + seconds + 0.5]
    url = appliance.url.replace("/v1/realtime/calls", "/whip/echo-pcm")
    command = [sys.executable, "-m", "bench.talkers", url, *map(str, talk)]
    caller = Caller(subprocess.Popen(command, stdout=subprocess.PIPE))
    time.sleep(lead)
    began, busy, first = time.monotonic(), threads_cpu(pid), _stats(appliance)
    time.sleep(seconds)
    busy, window, last = threads_cpu(pid) - busy, time.monotonic() - began, _stats(appliance)
    spent = last.usage.cpu_seconds - first.usage.cpu_seconds
    heard, said = last.audio_in - first.audio_in, last.audio_out - first.audio_out
    return pcm_fields(caller.report(), heard, said, spent, busy / window)


def pcm_fields(
    report: dict[str, Any], heard: int, said: int, spent: float, busy: float
) -> dict[str, Any]:
    """Lost is what did not arrive, either way, and what was heard and not said back: frames that come
    later than their turn are left out.
    """
    under_way = report["packets_sent"] + report["packets_foreign"]
    astray = (report["packets_lost_up"] + report["packets_lost_down"]) / max(under_way, 1)
    return {
        "pcm_sessions": report["sessions_ok"],
        "pcm_lost": round(astray + max(0.0, 1 - said / max(heard, 1)), 5),
        "pcm_us_per_frame": round(spent / max(said, 1) * 1e6, 1),
        "pcm_busy": round(busy, 3),
        "pcm_caller_late_max_ms": report["tick_late_max_ms"],
    }


def _stats(appliance: Appliance) -> TransceiverStats:
    stats = appliance.worker("transceiver").stats
    assert isinstance(stats, TransceiverStats)
    return stats
