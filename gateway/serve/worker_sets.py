"""The workers of one listening socket: sets that replace each other as a whole, and their crashes.

The new set starts beside the old one, and only when all of it is ready is the old set told to
drain. If any of it fails, the new set is killed and the old one goes on.
"""

from __future__ import annotations

import logging
import selectors
import signal
import socket
import time
from dataclasses import dataclass, fields
from typing import Protocol

from gateway.errors import GatewayError
from gateway.wire.workers import ReloadOutcome, WorkerState

from . import backoff
from .channel import Loaded, Message, Table, table_message
from .signals import CUT, FINISH
from .timestamps import now_text
from .worker_process import WorkerCommand, WorkerProcess

log = logging.getLogger(__name__)

_GRACE_S = 15.0  # beyond the drain, for a worker's own closing
_HURRY_S = 5.0
_LATE_S = 2.0  # ticks come once a second: beyond this our own process did not run


@dataclass(frozen=True, slots=True)
class Patience:
    """How long workers are waited for, seconds.

    Attributes:
        ready_s: For a new set to become ready.
        drain_s: For a worker to drain, before it has said so itself.
        silent_s: For a serving worker's next beat, one a second: after that it is hung, and killed.
    """

    ready_s: float
    drain_s: float
    silent_s: float


class Overseer(Protocol):
    """Who is told what becomes of the sets."""

    def set_took_over(self, loaded: Loaded) -> None:
        """A set serves, the one before drains."""

    def set_failed(self, error: str) -> None:
        """A set did not get ready; the one before goes on."""

    def asked_to_stop(self) -> None:
        """A worker was asked to end the gateway."""


class WorkerSets:
    """Every live worker, and which set of them serves.

    Args:
        generation: The one that served before; the first set here is one above.
    """

    def __init__(
        self,
        command: WorkerCommand,
        listener: socket.socket,
        selector: selectors.BaseSelector,
        patience: Patience,
        overseer: Overseer,
        generation: int = 0,
    ) -> None:
        self._command, self._listener, self._selector = command, listener, selector
        self._patience, self._overseer = patience, overseer
        self.last_reload: ReloadOutcome | None = None
        self._workers: list[WorkerProcess] = []  # every live one
        self._tried = generation  # the last one that was
        self._serving = 0  # the generation that serves; 0 while none does
        self._candidate: int | None = None  # the generation that is to take over
        self._candidate_until = 0.0
        self._crashes: dict[int, int] = {}  # by slot, since it was last stable
        self._restart_at: dict[int, float] = {}  # by empty slot
        self._ticked_at = time.monotonic()
        self._stopping = self._hurried = False

    @property
    def ended(self) -> bool:
        """Whether no worker is left."""
        return not self._workers

    @property
    def replacing(self) -> bool:
        """Whether a set is starting."""
        return self._candidate is not None

    @property
    def generation(self) -> int:
        """The generation that serves; 0 while none does."""
        return self._serving

    def claim_generation(self) -> int:
        """Return the next number, and use it for nothing here."""
        self._tried += 1
        return self._tried

    def begin(self) -> None:
        """Start a new set."""
        self._candidate = self.claim_generation()
        self._candidate_until = time.monotonic() + self._patience.ready_s
        for slot in range(self._command.workers):
            self._start(slot, self._candidate, None)

    def tick(self, now: float) -> None:
        """Reap, kill what is late or hung, settle what has become ready, start what is due.

        Raises GatewayError with the words of the worker that failed when it was the first set.
        """
        self._reap(now)
        self._excuse_absence(now)
        for worker in self._workers:
            self._check(worker, now)
        self._settle(now)
        if self._stopping:
            return
        for slot in [slot for slot, due in self._restart_at.items() if due <= now]:
            del self._restart_at[slot]
            self._start(slot, self._serving, now + self._patience.ready_s)

    def stop(self, *, hurry: bool) -> None:
        """Let every worker finish what it has; a hurry cuts it. Starts nothing any more."""
        self._stopping, self._hurried, self._candidate = True, hurry, None
        for worker in self._workers:
            if worker.state is WorkerState.STARTING:
                worker.signal(signal.SIGKILL)
            elif hurry:
                worker.signal(CUT)
                worker.kill_at = time.monotonic() + _HURRY_S
            elif worker.state is WorkerState.SERVING:
                self._retire(worker)

    def kill(self) -> None:
        """End every worker at once."""
        for worker in self._workers:
            worker.signal(signal.SIGKILL)

    # -- what workers say

    def _hear(self, worker: WorkerProcess) -> bool:
        """Act on what has come; return whether anything had."""
        messages, is_open = worker.channel.read()
        for message in messages:
            worker.seen_at, worker.heard_at = now_text(), time.monotonic()
            self._act_on(worker, message)
        if is_open:
            worker.channel.flush()
        else:
            self._selector.unregister(worker.channel.sock)
        return bool(messages)

    def _act_on(self, worker: WorkerProcess, message: Message) -> None:
        match message["type"]:
            case "ready":
                worker.state, worker.kill_at = WorkerState.SERVING, None
                worker.loaded = Loaded(**{key.name: message[key.name] for key in fields(Loaded)})
                if worker.generation != self._candidate:
                    self._take_in(worker)
            case "failed":
                worker.error = message["error"]
            case "draining":
                worker.state = WorkerState.DRAINING
                if not self._hurried:
                    worker.kill_at = time.monotonic() + message["within_s"] + _GRACE_S
            case "shutdown":
                log.info("asked to stop by a worker slot=%d", worker.slot)
                self._overseer.asked_to_stop()
            case "query":
                table = Table(tuple(one.record for one in self._workers), self.last_reload)
                worker.channel.send(table_message(table))

    def _take_in(self, worker: WorkerProcess) -> None:
        """Welcome the replacement of a crashed worker."""
        log.info("worker replaced slot=%d pid=%d", worker.slot, worker.process.pid)
        if worker.generation != self._serving or self._stopping:
            self._retire(worker)  # its set was replaced while it started

    # -- ends and crashes

    def _excuse_absence(self, now: float) -> None:
        """Take the time in which this process was stopped off every worker's silence.

        What stops it, a suspended machine or a frozen container, has stopped them too.
        """
        absent_s = now - self._ticked_at - _LATE_S
        self._ticked_at = now
        if absent_s > 0:
            log.warning("was stopped itself for absent_s=%.1f", absent_s)
            for worker in self._workers:
                worker.heard_at = min(now, worker.heard_at + absent_s)

    def _check(self, worker: WorkerProcess, now: float) -> None:
        serves = worker.state is WorkerState.SERVING
        if worker.kill_at is not None and now > worker.kill_at:
            log.warning("killed a worker that did not end pid=%d", worker.process.pid)
            worker.signal(signal.SIGKILL)
        elif serves and now - worker.heard_at > self._patience.silent_s:
            silent_s = now - worker.heard_at
            log.error(
                "killed a worker that hung pid=%d silent_s=%.1f", worker.process.pid, silent_s
            )
            worker.signal(signal.SIGKILL)
        elif serves and now - worker.started > backoff.STABLE_S:
            self._crashes.pop(worker.slot, None)

    def _reap(self, now: float) -> None:
        for worker in [one for one in self._workers if one.process.poll() is not None]:
            while self._listening_to(worker) and self._hear(worker):
                pass  # what it said last, e.g. why it failed
            if self._listening_to(worker):
                self._selector.unregister(worker.channel.sock)
            worker.channel.close()
            self._workers.remove(worker)
            if worker.generation == self._candidate:
                self._reject(worker.end_text())
            elif worker.generation == self._serving and worker.state != WorkerState.DRAINING:
                self._replace(worker, now)

    def _listening_to(self, worker: WorkerProcess) -> bool:
        return worker.channel.sock in self._selector.get_map()

    def _replace(self, worker: WorkerProcess, now: float) -> None:
        if self._stopping:
            return
        crashes = self._crashes.get(worker.slot, 0)
        if worker.state is WorkerState.SERVING and now - worker.started > backoff.STABLE_S:
            crashes = 0
        delay_s = backoff.delay_s(crashes)
        self._crashes[worker.slot] = crashes + 1
        self._restart_at[worker.slot] = now + delay_s
        why = worker.end_text() if worker.loaded is None else f"code={worker.process.returncode}"
        log.error("worker died slot=%d restart_in_s=%g: %s", worker.slot, delay_s, why)

    # -- sets

    def _start(self, slot: int, generation: int, kill_at: float | None) -> None:
        worker = WorkerProcess.start(self._command, slot, generation, self._listener)
        worker.kill_at = kill_at
        self._workers.append(worker)
        self._selector.register(
            worker.channel.sock, selectors.EVENT_READ, lambda: self._hear(worker)
        )

    def _settle(self, now: float) -> None:
        if self._candidate is None:
            return
        waiting = [one for one in self._set(self._candidate) if one.loaded is None]
        if not waiting:
            self._accept(self._candidate)
        elif now > self._candidate_until:
            self._reject(waiting[0].end_text())

    def _accept(self, generation: int) -> None:
        first = self._serving == 0
        self._candidate, self._serving = None, generation
        self._restart_at.clear()
        self._crashes.clear()
        for worker in self._workers:
            if worker.generation != generation and worker.state is WorkerState.SERVING:
                self._retire(worker)
        if not first:
            self.last_reload = ReloadOutcome(generation, None, now_text())
        self._overseer.set_took_over(
            next(one.loaded for one in self._set(generation) if one.loaded is not None)
        )

    def _reject(self, error: str) -> None:
        """Kill the new set; the old one goes on."""
        generation, self._candidate = self._candidate, None
        if generation is None:
            return
        for worker in self._set(generation):
            worker.signal(signal.SIGKILL)
        if self._serving == 0:
            raise GatewayError(error)
        self.last_reload = ReloadOutcome(generation, error, now_text())
        self._overseer.set_failed(error)

    def _set(self, generation: int) -> list[WorkerProcess]:
        return [worker for worker in self._workers if worker.generation == generation]

    def _retire(self, worker: WorkerProcess) -> None:
        worker.state = WorkerState.DRAINING
        worker.kill_at = time.monotonic() + self._patience.drain_s + _GRACE_S
        worker.signal(FINISH)
