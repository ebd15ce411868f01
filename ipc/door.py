"""Who may come in over CURVE: libzmq asks for every new connection, by ZAP (https://rfc.zeromq.org/spec/27/).

libzmq has checked that the client holds the secret key of the public one that it shows; whether that key
may come in is decided here. Without a door nobody may: the sockets insist on being answered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from ipc.closing import Closing
from ipc.log import Logger
from ipc.zmq_trio import Frames, Pattern, ZmqSocket, encode_key

_ZAP: Final = "inproc://zeromq.zap.01"
_VERSION: Final = b"1.0"
_LINES: Final = 16
"""Refusals that are logged one by one; then ever more rarely."""


class Door(Closing):
    """Answers for all CURVE sockets of this process. Raises EndpointError if there is a door already."""

    def __init__(
        self, clients: Callable[[], Mapping[str, str]], log: Logger, who: str = "operator"
    ) -> None:
        """`clients`: name -> public key, of those who may come in now; `who` they are, for the log."""
        self.refused = 0
        self.admitted = 0
        self._clients = clients
        self._log = log
        self._is = who
        self._socket = ZmqSocket(Pattern.ROUTER)
        try:
            self._socket.bind(_ZAP)
        except BaseException:
            self._socket.close()
            raise

    async def serve(self) -> None:
        """Answer until cancelled."""
        while True:
            frames = await self._socket.receive()
            if (reply := self._judge(frames)) is not None:
                self._socket.send_nowait(reply)

    def close(self) -> None:
        """From now on nobody comes in."""
        self._socket.close()

    def _judge(self, frames: Frames) -> Frames | None:
        """The reply to [peer, empty, version, request, domain, address, identity, mechanism, key...]."""
        try:
            peer, empty, _, request, _, address, _, mechanism, *credentials = frames
        except ValueError:
            return None
        name = self._who(mechanism, credentials)
        where = address.decode("ascii", "replace")
        if name is None:
            self.refused += 1
            if self.refused <= _LINES or self.refused.bit_count() == 1:
                self._log.warning(f"{self._is} refused", address=where, times=self.refused)
            return [peer, empty, _VERSION, request, b"400", b"unknown key", b"", b""]
        self.admitted += 1
        self._log.info(f"{self._is} connected", name=name, address=where)
        return [peer, empty, _VERSION, request, b"200", b"OK", name.encode(), b""]

    def _who(self, mechanism: bytes, credentials: Frames) -> str | None:
        if mechanism != b"CURVE" or len(credentials) != 1 or len(credentials[0]) != 32:
            return None
        shown = encode_key(credentials[0])
        return next((name for name, key in self._clients().items() if key == shown), None)
