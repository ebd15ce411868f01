"""How a send may fail without anybody here being at fault."""

from __future__ import annotations

import errno
from typing import Final

from workers.wire.types import DropReason

SEND_ERRORS: Final = {
    errno.EAGAIN: DropReason.SEND_WOULD_BLOCK,
    errno.ENOBUFS: DropReason.SEND_NO_BUFFERS,
    errno.ENOMEM: DropReason.SEND_NO_BUFFERS,
    errno.ECONNREFUSED: DropReason.SEND_REFUSED,
    errno.EPERM: DropReason.SEND_REFUSED,  # a firewall rule
    errno.EACCES: DropReason.SEND_REFUSED,  # a broadcast address, which a source may pretend to be
    errno.EINVAL: DropReason.SEND_UNREACHABLE,  # port 0, which a source may pretend to have
    errno.EADDRNOTAVAIL: DropReason.SEND_UNREACHABLE,
    errno.EHOSTUNREACH: DropReason.SEND_UNREACHABLE,
    errno.ENETUNREACH: DropReason.SEND_UNREACHABLE,
    errno.EMSGSIZE: DropReason.SEND_TOO_BIG,
}
"""The ways a send may fail that are the network's or the peer's doing. Any other is our own bug."""


def send_failure(error: OSError) -> DropReason:
    """What a failed send counts as. Raises the error again if it is a bug of ours."""
    reason = SEND_ERRORS.get(error.errno or 0)
    if reason is None:
        raise error
    return reason
