"""Firefox, as far as a test needs it: headless, obedient, with a profile and a tone of its own.

with firefox() as driver:
    driver.open(url)
    driver.run("return await something();", 7)
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

WITHIN: Final = 60.0
"""Seconds that anything may take."""
_SETTINGS: Final[dict[str, Any]] = {
    "marionette.port": 0,
    "browser.shell.checkDefaultBrowser": False,
    "media.peerconnection.ice.loopback": True,
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,
    "media.autoplay.default": 0,
}
_BODY: Final = """
const [body, given, done] = arguments;
new Function("given", `return (async () => { ${body} })();`)(given).then(
  (value) => done({ value }), (error) => done({ error: String(error) + "\\n" + error.stack }));
"""


class Marionette:
    """As much of Firefox's remote protocol as a script needs: `length:[0, id, name, arguments]`."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=WITHIN)
        self._buffer = b""
        self._serial = 0
        self._receive()
        self.version: str = self.ask("WebDriver:NewSession")["capabilities"]["browserVersion"]
        self.ask("WebDriver:SetTimeouts", script=int(1000 * WITHIN))

    def open(self, url: str) -> None:
        """Go to that page."""
        self.ask("WebDriver:Navigate", url=url)

    def run(self, body: str, given: Any = None) -> Any:
        """What the body of an async function with the argument `given` returns."""
        asked = self.ask("WebDriver:ExecuteAsyncScript", script=_BODY, args=[body, given])
        found = asked["value"]
        if "error" in found:
            raise AssertionError(found["error"])
        return found["value"]

    def ask(self, name: str, **arguments: Any) -> Any:
        """One command and its result."""
        self._serial += 1
        message = json.dumps([0, self._serial, name, arguments]).encode()
        self._socket.sendall(b"%d:%s" % (len(message), message))
        _, _, error, result = self._receive()
        if error:
            raise RuntimeError(error["message"])
        return result

    def close(self) -> None:
        """Obey no more."""
        self._socket.close()

    def _receive(self) -> Any:
        while b":" not in self._buffer:
            self._more()
        length, _, self._buffer = self._buffer.partition(b":")
        while len(self._buffer) < int(length):
            self._more()
        message, self._buffer = self._buffer[: int(length)], self._buffer[int(length) :]
        return json.loads(message)

    def _more(self) -> None:
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionError("Firefox has gone")
        self._buffer += data


@contextmanager
def firefox() -> Iterator[Marionette]:
    """A headless Firefox. For a thread, not for trio. Raises FileNotFoundError if there is none."""
    binary = shutil.which("firefox-esr") or shutil.which("firefox")
    if binary is None:
        raise FileNotFoundError("firefox-esr")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        lines = (f"user_pref({json.dumps(k)}, {json.dumps(v)});" for k, v in _SETTINGS.items())
        Path(profile, "user.js").write_text("\n".join(lines), encoding="utf-8")
        command = [binary, "--headless", "--marionette", "--no-remote", "--profile", profile]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            driver = Marionette(_port(process, Path(profile, "MarionetteActivePort")))
            try:
                yield driver
            finally:
                driver.close()
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _port(process: subprocess.Popen[bytes], active: Path) -> int:
    give_up = time.monotonic() + WITHIN
    while time.monotonic() < give_up and process.poll() is None:
        if active.exists() and (text := active.read_text(encoding="ascii").strip()):
            return int(text)
        time.sleep(0.05)
    raise AssertionError(f"Firefox did not start: exit code {process.poll()}")
