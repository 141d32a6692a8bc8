"""The log's lines: their form, their order, and when they are written."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.log_lines import encoded, writer
from gateway.serve.logs import MAX_WAITING_BYTES, LineHandler

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (INFO|WARNING|ERROR) (.*)")


@dataclass(frozen=True, slots=True)
class Written:
    """A logger whose handler writes to a file."""

    log: logging.Logger
    reader: int

    def lines(self) -> list[str]:
        """Return what was written since the last look."""
        return os.read(self.reader, 1 << 20).decode().splitlines()


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Written]:
    write = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    read = os.open(tmp_path / "log", os.O_RDONLY)
    log = logging.Logger("test")  # noqa: LOG001  # of this test alone
    log.addHandler(LineHandler(write))
    yield Written(log, read)
    os.close(read)
    os.close(write)


def test_line_outside_of_a_loop_is_written_at_once(written: Written) -> None:
    written.log.info("Model override: %s → %s", "a", "b")
    (line,) = written.lines()
    found = LINE.fullmatch(line)
    assert found is not None
    assert found[2] == "Model override: a → b"


def test_lines_that_are_taken_have_each_their_time_and_level(written: Written) -> None:
    (handler,) = written.log.handlers
    assert isinstance(handler, LineHandler)
    lines = ("Model override: a → b", "100 %s", "half a pair \ud800")
    handler.take([encoded(line) for line in lines])
    found = [LINE.fullmatch(line) for line in written.lines()]
    assert [match and match.groups() for match in found] == [
        ("INFO", "Model override: a → b"),
        ("INFO", "100 %s"),
        ("INFO", "half a pair \\ud800"),
    ]


def test_writer_goes_straight_to_the_handler_that_takes_lines(written: Written) -> None:
    (handler,) = written.log.handlers
    writer(written.log)((b"100 %s", b"of no handler that takes lines"))
    assert [line[-6:] for line in written.lines()] == ["100 %s", " lines"]
    written.log.root.addHandler(handler)
    try:
        writer(written.log)((b"one", b"two"))
    finally:
        written.log.root.removeHandler(handler)
    found = [LINE.fullmatch(line) for line in written.lines()]
    assert [match and match.groups() for match in found] == [("INFO", "one"), ("INFO", "two")]


def test_lines_of_one_turn_are_written_together_in_their_order(written: Written) -> None:
    async def main() -> None:
        for number in range(3):
            written.log.info("line %d", number)
        assert written.lines() == []
        await asyncio.sleep(0)
        assert [line[-6:] for line in written.lines()] == ["line 0", "line 1", "line 2"]
        written.log.info("next turn")
        await asyncio.sleep(0)
        assert len(written.lines()) == 1

    asyncio.run(main())


def test_warning_does_not_wait_and_takes_earlier_lines_along(written: Written) -> None:
    async def main() -> None:
        written.log.info("before")
        written.log.warning("now")
        assert [line.split()[1] for line in written.lines()] == ["INFO", "WARNING"]

    asyncio.run(main())


def test_long_burst_is_written_before_the_turn_is_over(written: Written) -> None:
    async def main() -> None:
        written.log.info("x" * MAX_WAITING_BYTES)
        assert len(written.lines()) == 1

    asyncio.run(main())


def test_error_tells_where_it_happened(written: Written) -> None:
    try:
        int("no number")
    except ValueError:
        written.log.exception("failed")
    assert written.lines()[-1] == "ValueError: invalid literal for int() with base 10: 'no number'"


def test_line_that_cannot_be_made_ends_nothing(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    written.log.info("%d", "no number")
    written.log.info("half a pair \ud800")
    assert written.lines()[-1].endswith("half a pair \\ud800")


PROCESS = """
import logging
from gateway import log_lines
from gateway.serve import logs

logs.to_stderr()
log = logging.getLogger("gateway.somewhere")
log.debug("not wanted")
log.info("Forwarding to provider: %s", "anthropic")
log_lines.writer(log)((b"one", b"two"))
log.warning("100 %")
try:
    int("no number")
except ValueError:
    log.exception("failed")
"""


def test_process_that_logs_to_stderr_writes_such_lines_from_everywhere() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROCESS], capture_output=True, text=True, check=True, timeout=60
    )
    lines, _, trace = ended.stderr.partition("Traceback")
    found = [LINE.fullmatch(line) for line in lines.splitlines()]
    assert [match and match.groups() for match in found] == [
        ("INFO", "Forwarding to provider: anthropic"),
        ("INFO", "one"),
        ("INFO", "two"),
        ("WARNING", "100 %"),
        ("ERROR", "failed"),
    ]
    assert (
        trace.splitlines()[-1] == "ValueError: invalid literal for int() with base 10: 'no number'"
    )


def test_lines_of_several_threads_are_all_written(written: Written) -> None:
    def write() -> None:
        for number in range(200):
            written.log.info("line %d", number)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(written.lines()) == 800


def test_lines_of_other_threads_and_of_a_loop_are_all_written(written: Written) -> None:
    (handler,) = written.log.handlers
    assert isinstance(handler, LineHandler)

    def write() -> None:
        for number in range(200):
            written.log.info("thread %d", number)

    async def main() -> None:
        threads = [threading.Thread(target=write) for _ in range(3)]
        for thread in threads:
            thread.start()
        for number in range(200):
            handler.take([b"loop %d" % number])
            if number % 7 == 0:
                await asyncio.sleep(0)
        for thread in threads:
            await asyncio.to_thread(thread.join)

    asyncio.run(main())
    found = [LINE.fullmatch(line) for line in written.lines()]
    said = [match[2] for match in found if match is not None]
    assert len(said) == len(found) == 800
    assert [text for text in said if text.startswith("loop")] == [f"loop {n}" for n in range(200)]
