"""The supervisor: owns the listening socket, starts, replaces and stops workers; never serves.

No event loop: one selector over the control channels and a pipe that signals write to.

A set of workers is replaced as a whole: the new set starts beside the old one, and only when all
of it is ready is the old set told to drain. If any of it fails, the new set is killed and the old
one goes on.
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
import socket
import time
from dataclasses import dataclass, fields
from pathlib import Path
from types import FrameType

from gateway.errors import GatewayError, ListenError
from gateway.wire.workers import ReloadOutcome, WorkerState

from . import last_ports, pidfile
from .channel import Loaded, Message, Table, table_message
from .listener import address_of, open_listener, url_host
from .logs import now_text
from .port_notice import PortNotice
from .proxy_process import LegacyProxy
from .worker_process import WorkerCommand, WorkerProcess

log = logging.getLogger(__name__)

_TICK_S = 1.0
_STABLE_S = 10.0  # a worker that lived this long did not crash because of how it starts
_BACK_OFF_S = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_GRACE_S = 15.0  # beyond the drain, for a worker's own closing
_HURRY_S = 5.0
_SIGNALS = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)


@dataclass(frozen=True, slots=True)
class SupervisorPlan:
    """What to supervise.

    Attributes:
        port: 0 takes any free port.
        drain_s: What a worker may take to drain before it has said so itself, seconds.
        ready_timeout_s: How long a new set may take to become ready.
        worker_module: Python module run as a worker.
        run: Id of the migration run that started this daemon; None when a person did.
        any_address: Whether others than loopback may be listened on: clients show tokens.
        port_optional: Whether another free port will do when `port` is taken.
    """

    home: Path
    config_dir: Path
    host: str
    port: int
    workers: int
    drain_s: float
    version: str
    ready_timeout_s: float = 20.0
    worker_module: str = "gateway.worker"
    run: str | None = None
    any_address: bool = False
    port_optional: bool = False


def run(plan: SupervisorPlan) -> int:
    """Run until told to stop; return the exit code.

    Raises AlreadyRunning, ListenError, and GatewayError with the words of the worker that failed
    when the first set does not get ready.
    """
    lock = pidfile.HomeLock(plan.home)
    lock.acquire()
    try:
        with _listen(plan) as listener:
            return Supervisor(plan, listener).run()
    finally:
        pidfile.remove_own(pidfile.path_in(plan.home))
        lock.release()


def _listen(plan: SupervisorPlan) -> socket.socket:
    def listen(port: int) -> socket.socket:
        return open_listener(plan.host, port, os.environ, any_address=plan.any_address)

    try:
        return listen(plan.port)
    except ListenError as error:
        if not (plan.port_optional and plan.port):
            raise
        listener = listen(0)
        taken = address_of(listener)[1]
        log.warning("%s: port %d is taken instead, restart the clients", error, taken)
        return listener


class Supervisor:
    """The workers of one listening socket."""

    def __init__(self, plan: SupervisorPlan, listener: socket.socket) -> None:
        host, port = address_of(listener)
        instance = f"{url_host(host)}:{port}"
        self._plan, self._listener, self._instance = plan, listener, instance
        self._command = WorkerCommand(
            plan.worker_module, plan.config_dir, plan.home, instance, plan.workers
        )
        self._selector = selectors.DefaultSelector()
        self._signals: list[int] = []
        self._workers: list[WorkerProcess] = []  # every live one
        self._generation = 0  # the one that serves; 0 while none does
        self._candidate: int | None = None  # the generation that is to take over
        self._candidate_until = 0.0
        self._reload_wanted = False
        self._last_reload: ReloadOutcome | None = None
        self._crashes: dict[int, int] = {}  # by slot, since it was last stable
        self._restart_at: dict[int, float] = {}  # by empty slot
        self._stopping = False
        self._proxy = LegacyProxy(self._selector, plan.drain_s)
        self._notice = PortNotice(plan.home, host, port, plan.version, plan.run)
        self._in_force: Loaded | None = None  # what the serving set has loaded

    def run(self) -> int:
        """Start the first set and supervise until told to stop."""
        wake = self._catch_signals()
        try:
            self._start_set()
            while not (self._stopping and not self._workers and self._proxy.ended):
                self._wait(wake)
                self._take_signals()
                self._tick(time.monotonic())
        except BaseException:
            for worker in self._workers:
                worker.signal(signal.SIGKILL)
            self._proxy.kill()
            raise
        finally:
            self._selector.close()
        log.info("stopped")
        return 0

    # -- waiting

    def _catch_signals(self) -> socket.socket:
        def note(number: int, _: FrameType | None) -> None:
            self._signals.append(number)

        # time.sleep and select go on after a signal (PEP 475): only this descriptor wakes them.
        wake, write = socket.socketpair()
        wake.setblocking(False)
        write.setblocking(False)
        signal.set_wakeup_fd(write.detach(), warn_on_full_buffer=False)
        for number in _SIGNALS:
            signal.signal(number, note)
        self._selector.register(wake, selectors.EVENT_READ, None)
        return wake

    def _wait(self, wake: socket.socket) -> None:
        for key, _ in self._selector.select(_TICK_S):
            if key.data is None:
                wake.recv(4096)
            elif key.data is self._proxy:
                self._proxy.hear()
            else:
                self._hear(key.data)

    def _take_signals(self) -> None:
        while self._signals:
            number = self._signals.pop(0)
            if number in (signal.SIGTERM, signal.SIGINT):
                self._stop()
            elif number == signal.SIGHUP and not self._stopping:
                self._reload_wanted = True

    # -- what workers say

    def _hear(self, worker: WorkerProcess) -> bool:
        """Act on what has come; return whether anything had."""
        messages, is_open = worker.channel.read()
        for message in messages:
            worker.seen_at = now_text()
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
                worker.kill_at = time.monotonic() + message["within_s"] + _GRACE_S
            case "shutdown":
                log.info("asked to stop by a worker slot=%d", worker.slot)
                if not self._stopping:  # asking twice is no hurry
                    self._stop()
            case "query":
                table = Table(tuple(one.record for one in self._workers), self._last_reload)
                worker.channel.send(table_message(table))

    def _take_in(self, worker: WorkerProcess) -> None:
        """Welcome the replacement of a crashed worker."""
        log.info("worker replaced slot=%d pid=%d", worker.slot, worker.process.pid)
        if worker.generation != self._generation or self._stopping:
            self._retire(worker)  # its set was replaced while it started

    # -- once a second, and after every event

    def _tick(self, now: float) -> None:
        self._reap(now)
        for worker in self._workers:
            if worker.kill_at is not None and now > worker.kill_at:
                log.warning("killed a worker that did not end pid=%d", worker.process.pid)
                worker.signal(signal.SIGKILL)
            elif worker.state is WorkerState.SERVING and now - worker.started > _STABLE_S:
                self._crashes.pop(worker.slot, None)
        self._settle_candidate(now)
        self._proxy.tick(now)
        if self._stopping:
            return
        self._tell_ports()
        for slot in [slot for slot, due in self._restart_at.items() if due <= now]:
            del self._restart_at[slot]
            self._start(slot, self._generation, now + self._plan.ready_timeout_s)
        if self._reload_wanted and self._candidate is None:
            self._reload_wanted = False
            self._start_set()

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
            elif worker.generation == self._generation and worker.state != WorkerState.DRAINING:
                self._replace(worker, now)

    def _listening_to(self, worker: WorkerProcess) -> bool:
        return worker.channel.sock in self._selector.get_map()

    def _replace(self, worker: WorkerProcess, now: float) -> None:
        if self._stopping:
            return
        crashes = self._crashes.get(worker.slot, 0)
        if worker.state is WorkerState.SERVING and now - worker.started > _STABLE_S:
            crashes = 0
        delay_s = _BACK_OFF_S[min(crashes, len(_BACK_OFF_S) - 1)]
        self._crashes[worker.slot] = crashes + 1
        self._restart_at[worker.slot] = now + delay_s
        why = worker.end_text() if worker.loaded is None else f"code={worker.process.returncode}"
        log.error("worker died slot=%d restart_in_s=%g: %s", worker.slot, delay_s, why)

    # -- sets

    def _start_set(self) -> None:
        self._candidate = max(self._generation, self._last_tried()) + 1
        self._candidate_until = time.monotonic() + self._plan.ready_timeout_s
        for slot in range(self._plan.workers):
            self._start(slot, self._candidate, None)

    def _last_tried(self) -> int:
        return self._last_reload.generation if self._last_reload else 0

    def _start(self, slot: int, generation: int, kill_at: float | None) -> None:
        worker = WorkerProcess.start(self._command, slot, generation, self._listener)
        worker.kill_at = kill_at
        self._workers.append(worker)
        self._selector.register(worker.channel.sock, selectors.EVENT_READ, worker)

    def _settle_candidate(self, now: float) -> None:
        if self._candidate is None:
            return
        waiting = [one for one in self._set(self._candidate) if one.loaded is None]
        if not waiting:
            self._accept(self._candidate)
        elif now > self._candidate_until:
            self._reject(waiting[0].end_text())

    def _accept(self, generation: int) -> None:
        first = self._generation == 0
        self._candidate, self._generation = None, generation
        self._restart_at.clear()
        self._crashes.clear()
        for worker in self._workers:
            if worker.generation != generation and worker.state is WorkerState.SERVING:
                self._retire(worker)
        if not first:
            self._last_reload = ReloadOutcome(generation, None, now_text())
        self._announce(first=first)

    def _reject(self, error: str) -> None:
        """Kill the new set; the old one goes on."""
        generation, self._candidate = self._candidate, None
        if generation is None:
            return
        for worker in self._set(generation):
            worker.signal(signal.SIGKILL)
        if self._generation == 0:
            raise GatewayError(error)
        self._last_reload = ReloadOutcome(generation, error, now_text())
        log.error("reload failed, the configuration before stays in force: %s", error)

    def _set(self, generation: int) -> list[WorkerProcess]:
        return [worker for worker in self._workers if worker.generation == generation]

    def _retire(self, worker: WorkerProcess) -> None:
        worker.state = WorkerState.DRAINING
        worker.kill_at = time.monotonic() + self._plan.drain_s + _GRACE_S
        worker.signal(signal.SIGTERM)

    def _stop(self) -> None:
        hurry, self._stopping = self._stopping, True
        self._listener.close()
        self._proxy.stop(hurry=hurry)
        log.info("stopping%s", ", cutting what is open" if hurry else "")
        for worker in self._workers:
            if worker.state is WorkerState.STARTING:
                worker.signal(signal.SIGKILL)
            elif hurry:
                worker.signal(signal.SIGTERM)
                worker.kill_at = time.monotonic() + _HURRY_S
            elif worker.state is WorkerState.SERVING:
                self._retire(worker)
        self._candidate = None

    # -- what the world is told

    def _announce(self, *, first: bool) -> None:
        loaded = next(one.loaded for one in self._set(self._generation) if one.loaded)
        self._in_force = loaded
        if loaded.proxy_enabled:
            self._proxy.start(last_ports.recall(self._plan.home).proxy_port)
        else:
            self._proxy.stop()
        self._tell_ports()
        if first:
            log.info("CCO started on http://%s", self._instance)
        log.info("Configuration loaded: %s", loaded.fingerprint)
        log.info("Model overrides: %s", "enabled" if loaded.overrides_enabled else "disabled")
        log.info("Override rules loaded: %d", loaded.override_rules)

    def _tell_ports(self) -> None:
        if self._in_force is not None:
            enabled = self._in_force.gateway_enabled
            self._notice.tell(gateway_enabled=enabled, proxy_port=self._proxy.port)
