"""The ICE username fragment is the route: who owns a session, sealed in 23 characters.

    key id, 1 char | 22 chars: base62, most significant digit first, of one AES-128 block
    block: cluster u16 | transceiver u16 | epoch u16 | check u32 = 0 | nonce, 48 random bits    big-endian

After QUIC-LB (draft-ietf-quic-load-balancers): ids and never addresses, a key id for rotation, and
nothing to read for those without the key. The check field makes one block cipher call both the
decryption and the proof of origin: a made-up ufrag passes with probability 2^-32 and must then still
name a live transceiver. The alphabet leaves out the `+` and `/` that ice-chars (RFC 8839, 5.4) allow,
because clients that cut at `/` exist.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from config.ids import ClusterId, Epoch, Route, TransceiverId
from workers.wire.types import DropReason, Malformed

ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
UFRAG_LENGTH: Final = 23
NONCE_LENGTH: Final = 6
KEY_LENGTH: Final = 16

_BLOCK: Final = struct.Struct(">HHHI6s")
_DIGITS: Final = UFRAG_LENGTH - 1
_VALUE: Final = {character: value for value, character in enumerate(ALPHABET)}
_LIMIT: Final = 1 << 128
"""22 digits reach beyond a block; a number that does not fit was not made by us."""


class UfragKeys:
    """Mints and decodes ufrags with a set of keys; the AES contexts live as long as it does.

    A cipher context costs 25 times the block it encrypts, so each key has one per direction for ever.
    Such a context must only ever see whole blocks: a short one would shift all that follow.
    """

    def __init__(self, keys: Mapping[str, bytes], mint_with: str) -> None:
        """`keys`: key id, one character of ALPHABET -> 16 bytes. Raises ValueError if one is not so."""
        for key_id, key in keys.items():
            if len(key_id) != 1 or key_id not in _VALUE:
                raise ValueError(f"ufrag key id {key_id!r} is not one of 0-9A-Za-z")
            if len(key) != KEY_LENGTH:
                raise ValueError(f"ufrag key {key_id!r} has {len(key)} bytes, not {KEY_LENGTH}")
        if mint_with not in keys:
            raise ValueError(f"there is no ufrag key {mint_with!r} to mint with")
        ciphers = {key_id: Cipher(algorithms.AES(key), modes.ECB()) for key_id, key in keys.items()}  # noqa: S305 (one block)
        self._mint_with = mint_with
        self._encrypt: Callable[[bytes], bytes] = ciphers[mint_with].encryptor().update
        self._decrypt: dict[str, Callable[[bytes], bytes]] = {
            key_id: cipher.decryptor().update for key_id, cipher in ciphers.items()
        }

    def mint(self, route: Route, nonce: bytes) -> str:
        """The ufrag of a route. `nonce`: 6 random bytes, another for each session."""
        if len(nonce) != NONCE_LENGTH:
            raise ValueError(f"a nonce has {NONCE_LENGTH} bytes")
        block = _BLOCK.pack(route.cluster, route.transceiver, route.epoch, 0, nonce)
        number = int.from_bytes(self._encrypt(block), "big")
        digits = [""] * _DIGITS
        for place in range(_DIGITS - 1, -1, -1):
            number, value = divmod(number, 62)
            digits[place] = ALPHABET[value]
        return self._mint_with + "".join(digits)

    def decode(self, text: str) -> Route:
        """The route in a ufrag. Raises Malformed (UNKNOWN_KEY or FORGED_UFRAG)."""
        if len(text) != UFRAG_LENGTH:
            raise Malformed(DropReason.FORGED_UFRAG, "length")
        decrypt = self._decrypt.get(text[0])
        if decrypt is None:
            raise Malformed(DropReason.UNKNOWN_KEY)
        number = 0
        try:
            for character in text[1:]:
                number = number * 62 + _VALUE[character]
        except KeyError:
            raise Malformed(DropReason.FORGED_UFRAG, "alphabet") from None
        if number >= _LIMIT:
            raise Malformed(DropReason.FORGED_UFRAG, "range")
        block = decrypt(number.to_bytes(16, "big"))
        cluster, transceiver, epoch, check, _ = _BLOCK.unpack(block)
        if check != 0:
            raise Malformed(DropReason.FORGED_UFRAG, "check")
        return Route(ClusterId(cluster), TransceiverId(transceiver), Epoch(epoch))
