"""How the gateway's processes log: one line an event, UTC, to standard error."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from gateway.log_lines import encoded

_LEVELS = {level: logging.getLevelName(level).encode() for level in range(0, 60, 10)}
MAX_WAITING_BYTES = 64 * 1024
"""A burst of lines is written out at the latest when it is as long as this."""


def to_stderr() -> None:
    """Send the log to standard error; for a process's entry point only."""
    # What no line shows need not be found out for each of them: the place in the code, the thread,
    # the process (Python's logging how-to, "Optimization").
    logging._srcfile = None  # the documented switch
    logging.setLogRecordFactory(Record)
    handler = LineHandler(sys.stderr.fileno())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


class Record(logging.LogRecord):
    """A record of what a line shows, and of nothing else: there are several a request."""

    def __init__(  # noqa: PLR0913, PLR0917  # as logging calls it
        self,
        name: str,
        level: int,
        pathname: str,
        lineno: int,
        msg: object,
        args: tuple[object, ...] | Mapping[str, object] | None,
        exc_info: object = None,
        func: str | None = None,
        sinfo: str | None = None,
    ) -> None:
        self.name, self.levelno = name, level
        self.msg, self.args, self.exc_info = str(msg), args, exc_info  # type: ignore[assignment]  # as given
        self.created = time.time()


class LineHandler(logging.Handler):
    """Writes lines to a descriptor: all of one turn of an event loop together, others at once.

    A process that is killed loses the lines of one turn at most; warnings are always written. Any
    thread may add a line without asking; one at a time writes out what waits.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._waiting: list[bytes] = []
        self._size = 0
        self._scheduled = False
        self._second = 0.0, b""  # of the last line, and its text
        self._writing = threading.RLock()

    def handle(self, record: logging.LogRecord) -> bool:
        """Emit a record; there is nothing to filter here."""
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record out, or keep it until the loop's present turn is over."""
        try:
            line = self._line(record)
        except Exception:  # noqa: BLE001  # a log line must not end what it tells of
            self.handleError(record)
            return
        self._keep(line, urgent=record.levelno >= logging.WARNING)

    def take(self, lines: Sequence[bytes]) -> None:
        """Write lines of level INFO: what a request leaves needs no record around it."""
        begin = self._begin(time.time(), b"INFO")
        self._keep(begin + (b"\n" + begin).join(lines) + b"\n", urgent=False)

    def flush(self) -> None:
        """Write out what waits. A descriptor that takes nothing any more loses it."""
        with self._writing:
            lines = self._waiting.copy()
            del self._waiting[: len(lines)]  # others may have been added meanwhile
            data, self._size = b"".join(lines), 0
            try:
                while data:
                    data = data[os.write(self._descriptor, data) :]
            except OSError:
                return

    def _schedule(self) -> bool:
        """Have the lines written at the end of the loop's turn; False outside of a loop."""
        asyncio = sys.modules.get("asyncio")  # who has not loaded it has no loop, and need not
        try:
            loop = None if asyncio is None else asyncio.get_running_loop()
        except RuntimeError:
            loop = None
        if loop is None:
            return False
        loop.call_soon(self._end_of_turn)
        self._scheduled = True
        return True

    def _end_of_turn(self) -> None:
        self._scheduled = False
        self.flush()

    def _keep(self, data: bytes, *, urgent: bool) -> None:
        self._waiting.append(data)
        self._size += len(data)
        if urgent or self._size > MAX_WAITING_BYTES or not (self._scheduled or self._schedule()):
            self.flush()

    def _line(self, record: logging.LogRecord) -> bytes:
        level = _LEVELS.get(record.levelno, b"%d" % record.levelno)
        text = record.msg % record.args if record.args else record.msg
        if record.exc_info:
            text = f"{text}\n{logging.Formatter().formatException(record.exc_info)}"
        return self._begin(record.created, level) + encoded(f"{text}\n")

    def _begin(self, at: float, level: bytes) -> bytes:
        second, (known, text) = at // 1, self._second
        if second != known:
            moment = datetime.fromtimestamp(second, UTC)
            text = moment.isoformat(timespec="seconds")[:-6].encode()
            self._second = second, text
        return b"%b.%03dZ %b " % (text, (at - second) * 1000, level)
