"""A real logger whose lines a test can read."""

from __future__ import annotations

import json
import os
from typing import Any

from config.model import LogFormat, LogLevel, LogSection
from ipc.log import LineWriter, Logger, open_log


class LogLines:
    """Logger with JSON lines into a pipe of its own."""

    def __init__(self, level: LogLevel = LogLevel.DEBUG) -> None:
        self._read, write = os.pipe()
        os.set_blocking(self._read, False)
        self._writer = LineWriter(write)
        os.close(write)
        self._text = ""
        self.log: Logger = open_log(
            LogSection(level=level, format=LogFormat.JSON), "test", writer=self._writer
        )

    def lines(self) -> list[dict[str, Any]]:
        """All lines so far."""
        try:
            while chunk := os.read(self._read, 65536):
                self._text += chunk.decode()
        except BlockingIOError:
            pass
        return [json.loads(line) for line in self._text.splitlines()]

    def events(self) -> list[str]:
        """What happened, by the word of each line."""
        return [line["event"] for line in self.lines()]

    def close(self) -> None:
        """Close both ends."""
        self._writer.close()
        os.close(self._read)
