"""The codec comes without the agent around it, and does not stand in the way of the whole package."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
from workers.transceiver.core.stun_codec import stun
assert stun.parse_message(bytes(stun.Message(stun.Method.BINDING, stun.Class.REQUEST)))
assert not {"aioice", "aioice.ice", "dns"} & set(sys.modules), "more than the codec was imported"
import aioice
from aioice import stun as whole
assert aioice.Connection and whole is stun
"""


def test_only_the_codec_is_imported_and_the_package_can_be_later() -> None:
    subprocess.run([sys.executable, "-c", PROGRAM], check=True, timeout=30)


def test_a_package_that_is_there_already_stays() -> None:
    first = "import aioice, sys; before = sys.modules['aioice']\n"
    last = "assert sys.modules['aioice'] is before\n"
    program = first + "from workers.transceiver.core.stun_codec import stun\n" + last
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
