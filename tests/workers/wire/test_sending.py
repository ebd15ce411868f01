"""What a failed send counts as."""

from __future__ import annotations

import errno

import pytest

from workers.wire.sending import SEND_ERRORS, send_failure
from workers.wire.types import DropReason


@pytest.mark.parametrize("number", SEND_ERRORS)
def test_the_networks_doing_is_a_counted_drop(number: int) -> None:
    assert send_failure(OSError(number, "x")).name.startswith("SEND_")


def test_a_firewall_does_not_end_a_worker() -> None:
    assert send_failure(PermissionError(errno.EPERM, "x")) is DropReason.SEND_REFUSED


@pytest.mark.parametrize("number", [errno.EBADF, errno.ENOTCONN, errno.EFAULT])
def test_a_bug_of_ours_is_raised_again(number: int) -> None:
    error = OSError(number, "x")
    with pytest.raises(OSError) as caught:  # noqa: PT011 - the very same one
        send_failure(error)
    assert caught.value is error
