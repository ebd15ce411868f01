"""What is installed: the C that carries packets, and the machine's libraries."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from collections.abc import Iterator
from typing import Final

from appliance.doctor.finding import Finding, fail, ok, warn
from appliance.doctor.host import Host
from config.model import DatapathChoice, MediaChoice

_WITHIN: Final = 20.0
_LOAD: Final = "from workers.native import load, load_media; load(); load_media()"
_OPUS: Final = "libopus.so.0"


def check(host: Host) -> Iterator[Finding]:
    """Both."""
    yield _native(host)
    yield _opus()


def _native(host: Host) -> Finding:
    # A process of its own: the operator's programs import no worker.
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", _LOAD],
            capture_output=True,
            text=True,
            timeout=_WITHIN,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return warn("software.native", f"cannot be tried: {error}")
    if done.returncode == 0:
        return ok("software.native", "datapath and media plane in C are there")
    why = done.stderr.strip().rpartition("\n")[2]
    config = host.config
    needed = (
        DatapathChoice.NATIVE is config.relay.datapath
        or MediaChoice.NATIVE is config.transceiver.media
    )
    judge = fail if needed else warn
    advice = "install a C compiler, then once more: pip install --force-reinstall --no-deps ."
    return judge("software.native", f"Python will carry the packets: {why}", advice)


def _opus() -> Finding:
    try:
        ctypes.CDLL(_OPUS)
    except OSError:
        what = f"{_OPUS} is missing: no PCM for back ends of Opus calls"
        return warn("software.opus", what, "apt install libopus0")
    return ok("software.opus", f"{_OPUS} is there")
