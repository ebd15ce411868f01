"""SRTP and SRTCP for one session (RFC 3711, RFC 7714), by libsrtp.

The only file that knows pylibsrtp. Its Session copies a packet four times and costs as much again as
the cipher; here one buffer per process is encrypted and decrypted in place. That is safe because a
core runs on one thread and nothing is kept in the buffer between two calls.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import Any, Final, NamedTuple, TypeAlias

from pylibsrtp import Policy
from pylibsrtp import Session as LibraryContext
from pylibsrtp._binding import ffi, lib

from workers.wire.types import DropReason

Datagram: TypeAlias = bytes | memoryview
Process: TypeAlias = Callable[[Datagram], bytes | DropReason]

MAX_PACKET: Final = 1500
"""Bytes of a packet in or out; no datagram that fits an Ethernet frame is longer."""
_MAX_TRAILER: Final = 4 + 16
"""SRTCP index and the longest tag of our profiles."""

_BUFFER: Final = ffi.new("char[]", MAX_PACKET + 256)
_VIEW: Final = ffi.buffer(_BUFFER)
_LENGTH: Final = ffi.new("int *")

# srtp_err_status_t: replay_fail, replay_old, pkt_idx_old; all else means that the packet is not
# what the peer with our keys has sent.
_REPLAYED: Final = frozenset({9, 10, 26})


class SrtpProfile(Enum):
    """Protection profiles in order of preference; the value is OpenSSL's name."""

    AEAD_AES_128_GCM = b"SRTP_AEAD_AES_128_GCM"
    AES128_CM_SHA1_80 = b"SRTP_AES128_CM_SHA1_80"

    @property
    def key_length(self) -> int:
        """Bytes of the master key."""
        return 16

    @property
    def salt_length(self) -> int:
        """Bytes of the master salt (RFC 5764, 4.1.2; RFC 7714, 12)."""
        return 12 if self is SrtpProfile.AEAD_AES_128_GCM else 14


_LIBRARY_PROFILE: Final = {
    SrtpProfile.AEAD_AES_128_GCM: Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    SrtpProfile.AES128_CM_SHA1_80: Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
}


class SrtpKeys(NamedTuple):
    """What DTLS hands over: master key followed by master salt, for each direction."""

    profile: SrtpProfile
    local: bytes
    """We send with it."""
    remote: bytes


class Srtp:
    """Both directions of one session's media. Bad packets give a DropReason, never an exception."""

    def __init__(self, keys: SrtpKeys) -> None:
        # The owners free the C contexts when they die; the calls below use the contexts directly.
        self._outbound_owner = _make_context(keys.profile, keys.local, Policy.SSRC_ANY_OUTBOUND)
        self._inbound_owner = _make_context(keys.profile, keys.remote, Policy.SSRC_ANY_INBOUND)
        outbound, inbound = self._contexts()
        sendable, longest = MAX_PACKET - _MAX_TRAILER, MAX_PACKET
        # Once per packet each: partial objects add no frame of their own.
        self.protect: Process = partial(_process, lib.srtp_protect, outbound, sendable)
        """Encrypt one RTP packet."""
        self.unprotect: Process = partial(_process, lib.srtp_unprotect, inbound, longest)
        """Authenticate and decrypt one SRTP datagram."""
        self.protect_rtcp: Process = partial(_process, lib.srtp_protect_rtcp, outbound, sendable)
        """Encrypt one compound RTCP packet."""
        self.unprotect_rtcp: Process = partial(_process, lib.srtp_unprotect_rtcp, inbound, longest)
        """Authenticate and decrypt one SRTCP datagram."""

    @property
    def contexts(self) -> tuple[int, int]:
        """Addresses of the outbound and the inbound context; they hold as long as this object lives.

        Whoever uses one, by the functions at `function_addresses`, is the only one who does.
        """
        outbound, inbound = self._contexts()
        return int(ffi.cast("uintptr_t", outbound)), int(ffi.cast("uintptr_t", inbound))

    def _contexts(self) -> tuple[Any, Any]:
        return self._outbound_owner._srtp[0], self._inbound_owner._srtp[0]


def function_addresses() -> tuple[int, int, int, int]:
    """libsrtp's protect, unprotect, protect_rtcp and unprotect_rtcp, for code that is not Python.

    Each is `int (*)(void *context, void *packet, int *length)`, and 0 is success.
    """
    names = "srtp_protect", "srtp_unprotect", "srtp_protect_rtcp", "srtp_unprotect_rtcp"
    protect, unprotect, protect_rtcp, unprotect_rtcp = (
        int(ffi.cast("uintptr_t", ffi.addressof(lib, name))) for name in names
    )
    return protect, unprotect, protect_rtcp, unprotect_rtcp


def _make_context(profile: SrtpProfile, key: bytes, direction: int) -> LibraryContext:
    policy = Policy(key=key, ssrc_type=direction, srtp_profile=_LIBRARY_PROFILE[profile])
    context = LibraryContext(policy)
    copy: Any = policy.key
    copy[:] = bytes(len(key))  # libsrtp has made its own keys of it, which it clears itself
    return context


def _process(
    function: Callable[[Any, Any, Any], int], context: Any, limit: int, packet: Datagram
) -> bytes | DropReason:
    length = len(packet)
    if length > limit:
        return DropReason.OVERSIZE
    _VIEW[:length] = packet
    _LENGTH[0] = length
    if status := function(context, _BUFFER, _LENGTH):
        return DropReason.SRTP_REPLAY if status in _REPLAYED else DropReason.SRTP_AUTHENTICATION
    result: bytes = _VIEW[: _LENGTH[0]]
    return result
