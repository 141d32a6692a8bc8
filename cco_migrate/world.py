"""The outside as ports: files, processes, HTTP and the clock; every effect goes through here."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cco_migrate.errors import ToolkitError
from cco_migrate.http import Answer, Http

# A world is used in terms of its ports.
__all__ = ["Answer", "Clock", "Files", "Finished", "Http", "Processes", "World", "free_bytes"]


class Files:
    """Files, read whole and replaced whole."""

    def read(self, path: Path) -> bytes:
        """Return the file's bytes; raises OSError."""
        return path.read_bytes()

    def read_if_there(self, path: Path) -> bytes | None:
        """Return the file's bytes, None when there is no such file; raises OSError otherwise."""
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None

    def replace(self, path: Path, data: bytes, *, mode: int | None = None) -> None:
        """Write new, sync, rename; follow a symbolic link, keep mode and owner of the old file.

        Args:
            mode: Permission bits of a file that does not exist yet; default 0600.

        Raises:
            OSError: The old file is untouched and no other file is left behind.
        """
        path = path.resolve()
        try:
            old: os.stat_result | None = path.stat()
        except FileNotFoundError:
            old = None
        fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
        fresh.unlink(missing_ok=True)  # left by a killed process whose pid is ours now
        try:
            with fresh.open("xb") as file:
                os.fchmod(file.fileno(), stat.S_IMODE(old.st_mode) if old else (mode or 0o600))
                if old is not None and (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()):
                    with contextlib.suppress(PermissionError):
                        os.fchown(file.fileno(), old.st_uid, old.st_gid)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            fresh.rename(path)
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise
        self.sync_directory(path.parent)

    def sweep(self, directory: Path) -> None:
        """Remove what `replace` left in a directory when its process was killed; read-only is fine.

        Nobody reads those files, so that one that cannot be removed does no harm.
        """
        for path in directory.glob(".*.new"):
            pid = path.name.split(".")[-2]
            if pid.isdecimal() and not _is_there(int(pid)):
                with contextlib.suppress(OSError):
                    path.unlink()

    def append(self, path: Path, data: bytes) -> None:
        """Append and sync; the file is made with mode 0600 when it is new."""
        new = not path.exists()
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            while data:  # a nearly full disk takes a part first and fails on the rest
                data = data[os.write(descriptor, data) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if new:
            self.sync_directory(path.parent)

    def truncate(self, path: Path, size: int) -> None:
        """Cut a file to its first `size` bytes and sync it."""
        descriptor = os.open(path, os.O_WRONLY)
        try:
            os.ftruncate(descriptor, size)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def remove(self, path: Path) -> None:
        """Remove a file; nothing happens when there is none."""
        try:
            path.unlink()
        except FileNotFoundError:
            return
        self.sync_directory(path.parent)

    def make_directory(self, path: Path) -> None:
        """Make a directory and its parents, mode 0700."""
        path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def writable(self, path: Path) -> bool:
        """Return whether a file in this directory could be replaced, without trying it."""
        return os.access(path, os.W_OK | os.X_OK)

    @staticmethod
    def sync_directory(path: Path) -> None:
        """Make a rename or a removal in this directory durable."""
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class Clock:
    """Time: UTC for records, monotonic for durations."""

    def now(self) -> datetime:
        """Return the time of day, UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds on a clock that never steps."""
        return time.monotonic()

    def pause(self, seconds: float) -> None:
        """Wait between two looks at something."""
        time.sleep(seconds)

    def wait_until(self, done: Callable[[], bool], timeout_s: float, every_s: float = 0.05) -> bool:
        """Look until `done()` is true; return False when the time is over. Looks at least once."""
        until = self.monotonic() + timeout_s
        while not done():
            if self.monotonic() >= until:
                return False
            self.pause(every_s)
        return True


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


@dataclass(frozen=True, slots=True)
class World:
    """All ports together. One World is used by one run."""

    files: Files
    processes: Processes
    http: Http
    clock: Clock

    @classmethod
    def real(cls) -> World:
        """Return the world as it is."""
        return cls(Files(), Processes(), Http(), Clock())


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):  # somebody else's, or no pid at all: not ours to judge
        return True
    return True


def free_bytes(path: Path) -> int:
    """Return the free space of the file system a path is on, or would be made on."""
    return shutil.disk_usage(next(p for p in (path, *path.parents) if p.exists())).free
