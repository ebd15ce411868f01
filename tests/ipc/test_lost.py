"""What came to nothing is told with what a process has used."""

from __future__ import annotations

from ipc.lost import Losses, Lost
from ipc.usage import usage


def test_only_what_has_happened_is_told() -> None:
    lost = Losses({Lost.REQUEST_OVERLOADED: 2, Lost.CONTROL_UNDELIVERED: 0})
    assert usage(lost).lost == {"request_overloaded": 2}
