"""One worker as its supervisor holds it: the process, its control channel, what it last said."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from gateway.wire.workers import WorkerRecord, WorkerState

from .channel import ControlChannel, Loaded
from .notify import for_children
from .timestamps import now_text

# Without these glibc raises its own thresholds after the first large free and never gives 32 MB
# bodies back; lower ones make every large read a system call.
_MALLOC = {
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_MMAP_THRESHOLD_": "1048576",
    "MALLOC_TRIM_THRESHOLD_": "4194304",
}


@dataclass(frozen=True, slots=True)
class WorkerCommand:
    """What every worker of a supervisor is started with.

    Attributes:
        module: Python module run as the worker.
        instance: `host:port` of the listener.
        workers: How many slots there are.
        supervisor: Random, new in every supervisor; what its workers leave behind is named by it.
    """

    module: str
    config_dir: Path
    home: Path
    instance: str
    workers: int
    supervisor: str = field(default_factory=lambda: uuid.uuid4().hex)


@dataclass(slots=True, eq=False)
class WorkerProcess:
    """A started worker; mutable, because it follows a process.

    Attributes:
        loaded: None until it is ready.
        error: What it said when it failed; None when it said nothing.
        started: Monotonic time of its start, seconds.
        heard_at: Monotonic time of its last message, or of its start.
        kill_at: Monotonic time at which it is killed if it still lives; None while it may stay.
    """

    slot: int
    generation: int
    boot_id: str
    process: subprocess.Popen[bytes]
    channel: ControlChannel
    state: WorkerState = WorkerState.STARTING
    loaded: Loaded | None = None
    error: str | None = None
    seen_at: str = field(default_factory=now_text)
    started: float = field(default_factory=time.monotonic)
    heard_at: float = field(default_factory=time.monotonic)
    kill_at: float | None = None

    @classmethod
    def start(
        cls, command: WorkerCommand, slot: int, generation: int, listener: socket.socket
    ) -> WorkerProcess:
        """Start a fresh interpreter, so that new code and new packages are loaded."""
        ours, theirs = socket.socketpair()
        boot_id = uuid.uuid4().hex
        arguments = {
            "--listen-fd": listener.fileno(),
            "--control-fd": theirs.fileno(),
            "--slot": slot,
            "--generation": generation,
            "--boot-id": boot_id,
            "--instance": command.instance,
            "--workers": command.workers,
            "--supervisor": command.supervisor,
            "--config-dir": command.config_dir,
            "--home": command.home,
        }
        argv = [sys.executable, "-m", command.module]
        argv += [str(word) for pair in arguments.items() for word in pair]
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                pass_fds=(listener.fileno(), theirs.fileno()),
                env={**for_children(os.environ), **_MALLOC},
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return cls(slot, generation, boot_id, process, ControlChannel(ours))

    @property
    def record(self) -> WorkerRecord:
        """What the directory shows of it."""
        fingerprint = self.loaded.fingerprint if self.loaded else ""
        return WorkerRecord(
            self.slot, self.generation, self.boot_id, fingerprint, self.state, self.seen_at
        )

    def signal(self, number: int) -> None:
        """Send a signal unless it has ended."""
        if self.process.poll() is None:
            self.process.send_signal(number)

    def end_text(self) -> str:
        """Say why it never got ready."""
        if self.error is not None:
            return self.error
        code = self.process.poll()
        if code is None:
            return f"worker {self.slot} was not ready in time"
        how = f"was killed by signal {-code}" if code < 0 else f"exited with code {code}"
        return f"worker {self.slot} {how} before it was ready"
