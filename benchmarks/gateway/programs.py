"""Find and run the programs the benchmark needs; starts and ends processes."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.gateway.errors import BenchError, Missing

PACKAGES: Mapping[str, str] = {
    "nginx": "nginx",
    "perf": "linux-perf",
    "valgrind": "valgrind",
    "vgdb": "valgrind",
    "wrk": "wrk",
}
"""Debian's package of each program."""

_SBIN = "/usr/sbin"  # where Debian puts nginx, and what few users have in their path
_STOP_S = 30.0


@dataclass(frozen=True, slots=True)
class Address:
    """A TCP port of this machine."""

    port: int
    host: str = "127.0.0.1"

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def found(program: str) -> str | None:
    """Return a program's path; None when it is not installed."""
    return shutil.which(program) or shutil.which(program, path=_SBIN)


def required(program: str) -> str:
    """Return a program's path. Raises Missing."""
    path = found(program)
    if path is None:
        raise Missing(f"{program} is not installed; on Debian: apt-get install {PACKAGES[program]}")
    return path


def version(program: str, *options: str) -> str:
    """Return the first line of what a program says about its version. Raises Missing."""
    command = (required(program), *options)
    said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    lines = f"{said.stdout}{said.stderr}".splitlines()
    return lines[0].strip() if lines else program


def free_port() -> int:
    """Return a port nobody listens on; for programs that cannot choose one themselves."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(
    command: Sequence[str], log: Path, *, cwd: Path | None = None, env: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process within the block and end it after; what it says goes to a file."""
    with log.open("ab") as sink:
        process = subprocess.Popen(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink
        )
    try:
        yield process
    finally:
        _end(process)


def wait_until(
    ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path, within_s: float
) -> None:
    """Return once it is ready. Raises BenchError with the end of its log when it is not."""
    until = time.monotonic() + within_s
    while not ready():
        code = process.poll()
        if code is not None or time.monotonic() > until:
            how = f"was not ready within {within_s:g} s" if code is None else f"exited with {code}"
            said = log.read_text(errors="replace")[-2000:]
            raise BenchError(f"{process.args!r} {how}: {said}")
        time.sleep(0.01)


def listens(address: Address) -> bool:
    """Return whether a connection is accepted there."""
    try:
        socket.create_connection((address.host, address.port), timeout=1).close()
    except OSError:
        return False
    return True


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(_STOP_S)
