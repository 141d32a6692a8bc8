"""Processes of this machine: started without a shell, told apart by more than their pid."""

from __future__ import annotations

import getpass
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cco_migrate.errors import ToolkitError


@dataclass(frozen=True, slots=True)
class Finished:
    """How a command ended.

    Attributes:
        code: Exit status; negative for a signal.
        output: Standard output and error together, at most the last 4,000 characters.
    """

    code: int
    output: str


class Processes:
    """Processes, started without a shell and signalled by recorded pid only."""

    def python_module(self, *arguments: str) -> list[str]:
        """Return the command that runs a module with this very interpreter."""
        return [sys.executable, "-m", *arguments]

    def run(self, command: Sequence[str], timeout_s: float) -> Finished:
        """Run a command to its end.

        Raises:
            ToolkitError: It cannot be started, or does not end in time.
        """
        # To a file, for a pipe would stay open in whatever the command leaves in the background.
        with tempfile.TemporaryFile() as output:
            try:
                done = subprocess.run(
                    command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                    timeout=timeout_s, check=False,
                )  # fmt: skip
            except subprocess.TimeoutExpired as error:
                raise ToolkitError(f"{command[0]} did not end within {timeout_s:.0f} s") from error
            except OSError as error:
                raise ToolkitError(f"{command[0]} cannot be started: {error.strerror}") from error
            output.seek(0)
            return Finished(done.returncode, output.read().decode(errors="replace")[-4000:])

    def spawn(
        self, command: Sequence[str], output: Path, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a process that outlives us: own session, no input, output appended to a file.

        Raises:
            ToolkitError: The command cannot be started.
        """
        output.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with output.open("ab") as file:
            output.chmod(0o600)
            try:
                return subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                    start_new_session=True, env={**os.environ, **(environment or {})},
                )  # fmt: skip
            except OSError as error:
                raise ToolkitError(f"{command[0]} cannot be started: {error.strerror}") from error

    def signal(self, pid: int, signum: int) -> bool:
        """Send a signal; return False when there is no such process."""
        try:
            os.kill(pid, signum)
        except ProcessLookupError:
            return False
        return True

    def same_process(self, pid: int, started_at: datetime) -> bool:
        """Return whether this pid lives and is the process that started then (within 2 s).

        False also when the clock was stepped since; what a run started is known by `environment`.
        """
        import psutil  # noqa: PLC0415  # 20 ms that `--list` must not pay

        if pid <= 0:  # to the kernel a whole group of processes
            return False
        try:
            process = psutil.Process(pid)
            born: float = process.create_time()
            return abs(born - started_at.timestamp()) < 2 and process.status() != "zombie"
        except psutil.NoSuchProcess:
            return False

    def carrying(self, environment: Mapping[str, str]) -> tuple[int, ...]:
        """Return the pids of live processes, of ours, that were started with this environment."""
        import psutil  # noqa: PLC0415  # see same_process

        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().items() >= environment.items() and process.is_running():
                    found.append(process.pid)
            except psutil.Error:  # somebody else's, gone since, or a zombie
                continue
        return tuple(found)

    def environment(self, pid: int) -> Mapping[str, str]:
        """Return what a live process of ours was started with; empty when there is no such one."""
        import psutil  # noqa: PLC0415  # see same_process

        if pid <= 0:
            return {}
        try:
            found: dict[str, str] = psutil.Process(pid).environ()
        except psutil.Error:
            return {}
        return found

    def birth(self, pid: int) -> str | None:
        """Return what tells a live process from others of its pid; None when there is none.

        On Linux ticks since this boot: unlike a time of day they stay the same when a clock steps.
        """
        proc = Path("/proc")
        try:
            if (proc / "self/stat").exists():
                fields = (proc / f"{pid}/stat").read_text().rpartition(")")[2].split()
                boot = (proc / "sys/kernel/random/boot_id").read_text().strip()
                return None if fields[0] in {"Z", "X"} else f"{boot}:{fields[19]}"
            return self.started_at(pid).isoformat()
        except (OSError, ToolkitError):
            return None

    def host(self) -> str:
        """Return the name of this machine."""
        return socket.gethostname()

    def operator(self) -> str:
        """Return who runs us: user@host."""
        return f"{getpass.getuser()}@{self.host()}"

    def started_at(self, pid: int) -> datetime:
        """Return when a live process was started; raises ToolkitError when there is none."""
        import psutil  # noqa: PLC0415  # see same_process

        try:
            return datetime.fromtimestamp(psutil.Process(pid).create_time(), UTC)
        except psutil.NoSuchProcess as error:
            raise ToolkitError(f"process {pid} is gone") from error
