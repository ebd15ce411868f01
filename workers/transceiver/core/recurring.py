"""A check that says what an earlier one on its path said: answered without being read.

A peer asks for consent every few seconds, as long as it lives, and in the same words. Of its requests only
the transaction differs, and so do the two attributes that are made of it (RFC 8489, 14.5 and 14.7):

    0      8            20           -32    -28          -8     -4
    | head | transaction | attributes | 0x08 | signature | 0x8028 | checksum |

So the rest is compared with what has been read once, and both are verified; and of the answers only the
transaction differs likewise, with which an IPv6 address is mixed (14.2).
"""

from __future__ import annotations

from hmac import compare_digest, digest
from typing import Final, NamedTuple
from zlib import crc32

from workers.transceiver.core import checks
from workers.transceiver.core.generations import Generation

_BEHIND_SIGNATURE: Final = 8
"""Bytes that the length which is signed leaves out: FINGERPRINT."""
_LEAST: Final = 20 + 24 + 8
"""Bytes of a request with these two attributes and no other."""
_IPV6: Final = 24
"""Bytes of XOR-MAPPED-ADDRESS; the last twelve are mixed with the transaction."""


class Recurring(NamedTuple):
    """A request that was accepted, as what it will be when it comes again."""

    said: bytes
    """All but transaction, signature and checksum."""
    signed_head: bytes
    """The first four bytes of what is signed."""
    generation: Generation
    """The credentials that it was signed with."""
    nominates: bool
    answer_head: bytes
    """Of the success response: what is before the transaction."""
    mapped: bytes
    """And what is behind it, before the signature, for a transaction of zeroes."""

    def is_said_by(self, datagram: bytes) -> bool:
        """The same request for another transaction, authentic and whole."""
        if _words(datagram) != self.said:
            return False
        if crc32(datagram[:-8]) ^ checks.FINGERPRINT_MASK != int.from_bytes(datagram[-4:], "big"):
            return False
        signed = self.signed_head + datagram[4:-32]
        return compare_digest(digest(self.generation.local_key, signed, "sha1"), datagram[-28:-8])

    def answer(self, datagram: bytes) -> bytes:
        """The success response to it."""
        transaction = datagram[8:20]
        unsigned = self.answer_head + transaction + _mixed(self.mapped, transaction)
        return checks.seal(unsigned, self.generation.local_key)


def recurring(
    datagram: bytes, answer: bytes, generation: Generation, *, nominates: bool
) -> Recurring | None:
    """From one that was accepted and had this answer; None if it does not end as all clients' do."""
    if len(datagram) < _LEAST:
        return None
    length = int.from_bytes(datagram[2:4], "big") - _BEHIND_SIGNATURE
    made = Recurring(
        _words(datagram),
        datagram[:2] + length.to_bytes(2, "big"),
        generation,
        nominates,
        answer[:8],
        _mixed(answer[20:-32], answer[8:20]),
    )
    return made if made.is_said_by(datagram) else None


def _mixed(mapped: bytes, transaction: bytes) -> bytes:
    """The same value for another transaction: an IPv4 address depends on none."""
    if len(mapped) != _IPV6:
        return mapped
    mixed = int.from_bytes(mapped[12:], "big") ^ int.from_bytes(transaction, "big")
    return mapped[:12] + mixed.to_bytes(12, "big")


def _words(datagram: bytes) -> bytes:
    return datagram[:8] + datagram[20:-28] + datagram[-8:-4]
