"""Log lines to standard error, by structlog alone, without ever blocking the event loop.

Standard error is often a pipe or journald's socket, shared with the parent and the siblings. A stuck
reader would stop the loop at the next line; O_NONBLOCK on the shared open file would surprise everyone
else. So a pipe or terminal is opened anew (O_NONBLOCK then is ours alone), a socket is written with
MSG_DONTWAIT, and what does not fit is dropped, counted, and said in the next line that does. Under systemd
lines are entries of the journal instead, with fields (ipc/journal.py).

Of one kind only so many are logged in a while (ipc/log_limit.py); `left_out` of a later line says how many
more there were.
"""

from __future__ import annotations

import os
import select
import socket
import stat
import sys
import time
from typing import Any, Final, TypeAlias, cast

from config.model import LogFormat, LogLevel, LogSection
from ipc.journal import JournalWriter, fields_of, is_journal
from ipc.log_limit import BURST, SESSION_BURST, RateLimit
from ipc.log_line import line_for_people

# structlog would import rich for tracebacks that we never print: a fifth of a worker's start-up. Where
# nobody else has use for it, this one import does without.
_modules = cast(dict[str, Any], sys.modules)
_WITHOUT_RICH: Final = "rich" not in _modules
if _WITHOUT_RICH:
    _modules["rich"] = None
try:
    import structlog
    from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger
finally:
    if _WITHOUT_RICH:
        del _modules["rich"]

Logger: TypeAlias = FilteringBoundLogger
"""What the rest of the house takes for a logger: `log.info("what happened", key=value)`."""

MAX_LINE: Final = 65_536
"""Bytes of one line; a longer one (a monstrous traceback) is cut."""

_STANDARD_ERROR: Final = 2


class LineWriter:
    """Writes whole lines to a descriptor that it neither blocks on nor changes for others.

    A line that was taken in part is finished before the next one, so lines never mix.
    """

    def __init__(self, fd: int = _STANDARD_ERROR) -> None:
        self.dropped = 0
        """Lines lost so far because the reader was slow or gone."""
        self.unsaid = 0
        """Of these, the lines that no later line has told of yet."""
        self._fd = fd
        self._socket: socket.socket | None = None
        self._own_fd = False
        self._polled: select.poll | None = None
        self._rest = b""
        try:
            mode = os.fstat(fd).st_mode
        except OSError:  # started without a standard error: all lines are dropped
            self._fd = -1
            mode = 0
        self.is_terminal = bool(mode) and os.isatty(fd)
        """Whether people read along."""
        self._open(fd, mode)

    def _open(self, fd: int, mode: int) -> None:
        if stat.S_ISSOCK(mode):
            self._socket = socket.socket(fileno=os.dup(fd))
        elif stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
            flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
            try:
                self._fd = os.open(f"/proc/self/fd/{fd}", flags)
                self._own_fd = True
            except OSError:
                # Another user's terminal (sudo, su): ask before each write instead.
                self._polled = select.poll()
                self._polled.register(fd, select.POLLOUT)

    def write(self, line: str) -> None:
        """Write one line, without its newline, or count it as dropped."""
        data = line.encode("utf-8", "backslashreplace")[:MAX_LINE] + b"\n"
        try:
            if self._rest:
                self._rest = self._rest[self._take(self._rest) :]
            taken = 0 if self._rest else self._take(data)
        except OSError:
            taken = 0
        if taken:
            self._rest = data[taken:]
            self.unsaid = 0
        else:
            self.dropped += 1
            self.unsaid += 1

    # structlog calls the wrapped logger by the name of the level.
    debug = info = warning = error = critical = exception = msg = write

    def _take(self, data: bytes) -> int:
        """How many bytes the kernel took at once, maybe none."""
        try:
            if self._socket is not None:
                return self._socket.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
            if self._polled is not None:
                if not self._polled.poll(0):
                    return 0
                data = data[: select.PIPE_BUF]  # what a writable pipe takes without blocking
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0

    def close(self) -> None:
        """Close what this writer opened itself; the descriptor it was given stays open."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._own_fd:
            os.close(self._fd)
            self._own_fd = False
        self._fd = -1


def open_log(section: LogSection, worker: str, *, writer: LineWriter | None = None) -> Logger:
    """A logger whose lines carry `worker` and `pid`; level and format from the configuration.

    Without a `writer` they go where standard error goes.
    """
    to: LineWriter | JournalWriter = writer or _open_writer()
    console = section.format is LogFormat.CONSOLE or (
        section.format is LogFormat.AUTO and to.is_terminal
    )
    render: Processor = (
        _for_people(to.is_terminal) if console else structlog.processors.JSONRenderer()
    )
    processors: list[Processor] = [
        structlog.processors.add_log_level,
        _limit(),
        structlog.processors.TimeStamper(fmt=None if console else "iso", utc=True),
        structlog.processors.format_exc_info,
        _say_drops(to),
        _with_fields(render) if isinstance(to, JournalWriter) else render,
    ]
    logger: Logger = structlog.wrap_logger(
        to,
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(_SEVERITY[section.level]),
        cache_logger_on_first_use=True,
        worker=worker,
        pid=os.getpid(),
    )
    return logger.bind()


def _open_writer() -> LineWriter | JournalWriter:
    if is_journal(_STANDARD_ERROR):
        return JournalWriter()
    return LineWriter()


def _limit() -> Processor:
    limit = RateLimit()

    def processor(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        now = time.monotonic()
        in_passing = event["level"] == "info" and "session" in event
        # What befalls one worker after the other is no flood: `of` says whom.
        kind = " ".join(str(event[name]) for name in ("event", "of") if name in event)
        left_out = limit.admit(kind, SESSION_BURST if in_passing else BURST, now)
        if left_out is None:
            raise structlog.DropEvent
        if left_out:
            event["left_out"] = left_out
        return event

    return processor


def _with_fields(render: Processor) -> Processor:
    def processor(
        logger: WrappedLogger, method: str, event: EventDict
    ) -> tuple[tuple[object, ...], dict[str, object]]:
        fields = fields_of(event)  # some are taken out of the event for the text
        return (render(logger, method, event), fields), {}

    return processor


def _say_drops(writer: LineWriter | JournalWriter) -> Processor:
    def processor(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        if writer.unsaid:
            event["lines_dropped"] = writer.unsaid
        return event

    return processor


def _for_people(colours: bool) -> Processor:
    def processor(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
        del event["pid"]  # the worker's name says more
        traceback = event.pop("exception", "")
        at, level, worker, what = map(event.pop, ("timestamp", "level", "worker", "event"))
        line = line_for_people(at, level, worker, str(what), event, colours=colours)
        return f"{line}\n{traceback}" if traceback else line

    return processor


_SEVERITY: Final = {
    LogLevel.DEBUG: 10,
    LogLevel.INFO: 20,
    LogLevel.WARNING: 30,
    LogLevel.ERROR: 40,
}
