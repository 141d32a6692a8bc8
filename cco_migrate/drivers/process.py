"""Drive a bundled gateway by its pid file: SIGHUP replaces workers, SIGTERM drains and stops."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from cco_migrate.context import Context
from cco_migrate.drivers.orphans import birthmark, carries_mark
from cco_migrate.drivers.started import Started
from cco_migrate.errors import ToolkitError


class ProcessDriver:
    """The gateway whose pid file lies in the instance's state root."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.pid_file: Path = context.instance.home / "daemon.pid"
        self.log: Path = context.instance.log or context.instance.home / "daemon.log"

    def find(self) -> str | None:
        """Return "pid N" when the recorded process is alive and really the one recorded."""
        pid = self.pid()
        return f"pid {pid}" if pid is not None else None

    def pid(self) -> int | None:
        """Return the recorded, identity-checked pid.

        None for no file, a torn file, a dead or a reused pid. A file without the process's birth,
        which the original gateway writes, is judged by the start time; what a run started is then
        known by its mark too, so that a clock that was stepped loses no gateway of ours.
        """
        data = self.context.world.files.read_if_there(self.pid_file)
        try:
            row = json.loads(data or b"")
            pid, started_at = int(row["pid"]), datetime.fromisoformat(row["started_at"])
        except (ValueError, KeyError, TypeError):
            return None
        if isinstance(birth := row.get("birth"), str):
            return pid if self.context.world.processes.birth(pid) == birth else None
        if self.context.world.processes.same_process(pid, started_at):
            return pid
        started_for = replace(self.context, run=str(row.get("run")))
        return pid if carries_mark(started_for, pid) else None

    def can_replace(self) -> bool:
        """Return True while it runs: the supervisor keeps the socket."""
        return self.pid() is not None

    def replace(self) -> None:
        """Send SIGHUP to the supervisor."""
        self._signal(signal.SIGHUP)

    def stop(self, timeout_s: float) -> str:
        """Send SIGTERM and wait for the drain; a process that still serves is never killed."""
        pid = self._signal(signal.SIGTERM)
        self.context.waiting(f"gateway pid {pid} to finish its streams and stop", timeout_s)
        if not self.context.world.clock.wait_until(lambda: self.pid() != pid, timeout_s):
            raise ToolkitError(
                f"gateway pid {pid} is still draining after {timeout_s:.0f} s",
                state="It takes no new requests and finishes the streams it has.",
                next_command="invoke gateway.stop",
            )
        return f"pid {pid}"

    def start(self) -> Started:
        """Start it detached, with its output in the log and the run's id in its environment."""
        instance, parts = self.context.instance, urlsplit(self.context.instance.url)
        world = self.context.world
        command = world.processes.python_module(
            "gateway", "run", "--home", str(instance.home),
            "--config-dir", str(instance.config_dir),
            "--host", parts.hostname or "127.0.0.1", "--port", str(parts.port or 80),
        )  # fmt: skip
        offset = self.log.stat().st_size if self.log.exists() else 0
        process = world.processes.spawn(command, self.log, birthmark(self.context))
        return Started(process, self.log, offset)

    def _signal(self, signum: signal.Signals) -> int:
        pid = self.pid()
        if pid is None or not self.context.world.processes.signal(pid, signum):
            raise ToolkitError(
                f"{self.pid_file} names no gateway that runs",
                state="No process was signalled.",
                next_command="invoke status",
            )
        return pid
