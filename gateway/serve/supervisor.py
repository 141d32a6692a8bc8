"""The supervisor: owns the listening socket, starts, replaces and stops workers; never serves.

No event loop: one selector, whose every entry holds what to call when something has come.

It can be replaced itself: a successor takes over socket, lock and PID file, and this one ends with
the last of its workers.
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
import socket
import subprocess
import sys
import time

from gateway.errors import GatewayError
from gateway.wire.workers import ReloadOutcome

from . import handover, last_ports, pidfile
from .channel import Loaded
from .handover import Estate, Phase, Predecessor
from .listener import address_of, url_host
from .notify import ServiceManager
from .plan import SupervisorPlan, listen
from .port_notice import PortNotice
from .proxy_process import LegacyProxy
from .signals import SignalInbox
from .successor import Successor
from .timestamps import now_text
from .worker_process import WorkerCommand
from .worker_sets import Patience, WorkerSets

__all__ = ["Supervisor", "SupervisorPlan", "run"]

log = logging.getLogger(__name__)

_TICK_S = 1.0
_SIGNALS = (signal.SIGHUP, signal.SIGUSR2, signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)
_STARTING_S = 10.0  # what a successor may take beside its workers


def run(plan: SupervisorPlan, predecessor: Predecessor | None = None) -> int:
    """Run until told to stop, or until a successor has taken over; return the exit code.

    Args:
        predecessor: Who is replaced by this process; None when it is the first.

    Raises AlreadyRunning, ListenError, and GatewayError with the words of the worker that failed
    when the first set does not get ready.
    """
    lock = pidfile.HomeLock(plan.home)
    if predecessor is None:
        lock.acquire()
    else:
        lock.inherit(predecessor.estate.lock)
    try:
        with _listener(plan, predecessor) as listener:
            return Supervisor(plan, listener, lock, predecessor).run()
    finally:
        pidfile.remove_own(pidfile.path_in(plan.home))
        lock.release()


def _listener(plan: SupervisorPlan, predecessor: Predecessor | None) -> socket.socket:
    if predecessor is not None:
        return socket.socket(fileno=predecessor.estate.listener)
    return listen(plan)


class Supervisor:
    """The workers of one listening socket, the legacy proxy, and the way to the next supervisor."""

    def __init__(
        self,
        plan: SupervisorPlan,
        listener: socket.socket,
        lock: pidfile.HomeLock,
        predecessor: Predecessor | None,
    ) -> None:
        host, port = address_of(listener)
        self._plan, self._listener, self._lock = plan, listener, lock
        self._instance = f"{url_host(host)}:{port}"
        self._selector = selectors.DefaultSelector()
        self._manager = ServiceManager(os.environ)
        self._proxy = LegacyProxy(self._selector, plan.drain_s)
        self._notice = PortNotice(plan.home, host, port, plan.version, plan.run)
        self._in_force: Loaded | None = None  # what the serving set has loaded
        self._predecessor = predecessor
        self._successor: Successor | None = None
        self._failed: list[Successor] = []  # until they have ended
        self._successor_generation = 0
        self._introduced = predecessor is None  # whether the service manager knows us
        self._reload_wanted = self._successor_wanted = False
        self._leaving = False  # no new connections, for whatever reason
        self._stop_asked = self._hurried = False
        self._sets = self._open_sets()

    def run(self) -> int:
        """Start the first set and supervise until told to stop."""
        signals = SignalInbox(self._selector, _SIGNALS)
        if self._predecessor is not None:
            self._predecessor.listen(self._selector)
        try:
            self._sets.begin()
            while not self._ended():
                self._wait()
                self._obey(signals.take())
                self._tick(time.monotonic())
        except BaseException:
            self._sets.kill()
            self._proxy.kill()
            raise
        finally:
            self._selector.close()
        log.info("stopped pid=%d", os.getpid())
        return 0

    # -- what the sets report

    def set_took_over(self, loaded: Loaded) -> None:
        """Bring everything else in line with what the workers have loaded."""
        first, self._in_force = self._in_force is None, loaded
        if first and self._predecessor is not None:
            descriptor = self._predecessor.estate.proxy_listener
            if descriptor is not None:
                self._proxy.inherit(descriptor)
        if loaded.proxy_enabled:
            self._proxy.start(last_ports.recall(self._plan.home).proxy_port)
        if self._predecessor is None or not first:
            self._announce(first=first)
        if not loaded.proxy_enabled:
            self._proxy.stop()  # only now: whoever has read its port so far is let in

    def set_failed(self, error: str) -> None:
        """Go on with the set before."""
        log.error("reload failed, the configuration before stays in force: %s", error)
        self._tell_manager()

    def asked_to_stop(self) -> None:
        """Stop; asking twice is no hurry."""
        if not self._stop_asked:
            self._stop()

    # -- the loop

    def _open_sets(self) -> WorkerSets:
        plan, before = self._plan, self._predecessor
        command = WorkerCommand(
            plan.worker_module, plan.config_dir, plan.home, self._instance, plan.workers
        )
        patience = Patience(plan.ready_timeout_s, plan.drain_s, plan.silent_s)
        generation = 0 if before is None else before.estate.generation
        return WorkerSets(command, self._listener, self._selector, patience, self, generation)

    def _wait(self) -> None:
        for key, _ in self._selector.select(min(_TICK_S, self._manager.tick_s)):
            key.data()

    def _obey(self, numbers: list[int]) -> None:
        for number in numbers:
            if number in (signal.SIGTERM, signal.SIGINT):
                self._stop()
            elif number == signal.SIGHUP:
                self._reload_wanted = True
            elif number == signal.SIGUSR2:
                self._successor_wanted = True

    def _tick(self, now: float) -> None:
        self._sets.tick(now)
        self._proxy.tick(now)
        self._follow_predecessor()
        self._follow_successor(now)
        self._failed = [one for one in self._failed if not one.is_gone(now)]
        if self._introduced and not self._has_left():
            self._manager.beat(now)
        if self._leaving:
            return
        self._tell_ports()
        if self._sets.replacing or self._successor is not None:
            return
        if self._reload_wanted:
            self._reload_wanted = False
            self._manager.reloading()
            self._sets.begin()
        elif self._successor_wanted:
            self._successor_wanted = False
            self._start_successor()

    def _ended(self) -> bool:
        if not (self._leaving and self._sets.ended and self._proxy.ended and not self._failed):
            return False
        before = self._predecessor
        if self._hurried or before is None or before.phase is Phase.FAILED:
            return True  # one that dismissed this process waits for it, not the other way round
        # A service manager ends what is left when its main process ends: wait for those before.
        return before.ended

    def _stop(self) -> None:
        self._hurried, self._stop_asked = self._stop_asked, True
        log.info("stopping%s", ", cutting what is open" if self._hurried else "")
        if not self._has_left():
            if self._introduced:
                self._manager.stopping()
            if self._successor is not None:
                self._give_up(self._successor)
        self._leave()

    def _has_left(self) -> bool:
        return self._successor is not None and self._successor.phase is Phase.LEFT

    def _leave(self) -> None:
        """Finish what is open, and take nothing new."""
        self._leaving = True
        self._listener.close()
        self._proxy.stop(hurry=self._hurried)
        self._sets.stop(hurry=self._hurried)

    # -- taking over from the supervisor before

    def _follow_predecessor(self) -> None:
        before = self._predecessor
        if before is None or self._leaving:
            return
        if before.phase is Phase.FAILED:
            self._stop()
        if self._in_force is None:
            return
        if before.phase is Phase.STARTING and self._proxy.settled:
            before.ready()
        elif before.phase is Phase.TAKING or (before.phase is Phase.READY and before.ended):
            self._lock.name_holder()
            self._announce(first=True)
            self._sets.last_reload = ReloadOutcome(self._sets.generation, None, now_text())
            before.taken()
        elif not self._introduced and (before.phase is Phase.LEFT or before.ended):
            self._introduced = True
            self._tell_manager()

    def _is_heir(self) -> bool:
        """Whether the PID file is still the predecessor's."""
        before = self._predecessor
        if before is None or before.ended:
            return False
        return before.phase in (Phase.STARTING, Phase.READY)

    # -- handing over to the next

    def _start_successor(self) -> None:
        self._successor_generation = self._sets.claim_generation()
        if os.getpid() == 1:
            self._go_on("process 1 ends with its container: replace the container instead")
            return
        try:
            request = handover.take_request(self._plan.home)
            within_s = self._plan.ready_timeout_s + _STARTING_S
            argv = (request.python or sys.executable, *self._plan.argv, *request.words)
            self._successor = Successor(self._selector, argv, self._estate(), within_s)
        except (GatewayError, OSError, subprocess.SubprocessError) as error:
            self._go_on(f"the new supervisor cannot be started: {error}")
            return
        log.info("starting a new supervisor: %s", " ".join(argv))

    def _estate(self) -> Estate:
        return Estate(
            listener=self._listener.fileno(),
            lock=self._lock.descriptor,
            proxy_listener=self._proxy.descriptor,
            generation=self._successor_generation - 1,
        )

    def _follow_successor(self, now: float) -> None:
        successor = self._successor
        if successor is None:
            return
        successor.check(now)
        if successor.phase is Phase.READY:
            successor.take()  # from now on the PID file is not ours
        elif successor.phase is Phase.TAKEN:
            if successor.pid is not None:
                self._manager.main_pid(successor.pid)
            self._lock.let_go()
            successor.leave()
            log.info("replaced by pid=%s, finishing what is open", successor.pid)
            self._leave()
        elif successor.phase is Phase.FAILED:
            self._give_up(successor)
            self._lock.name_holder()
            self._notice.forget()
            self._go_on(str(successor.error))

    def _give_up(self, successor: Successor) -> None:
        successor.dismiss()
        self._successor = None
        self._failed.append(successor)

    def _go_on(self, error: str) -> None:
        outcome = ReloadOutcome(self._successor_generation, error, now_text())
        self._sets.last_reload = outcome
        log.error("replacement failed, this supervisor goes on: %s", error)

    # -- what the world is told

    def _announce(self, *, first: bool) -> None:
        if self._in_force is None:
            return
        self._tell_ports()
        if first:
            log.info("CCO started on http://%s", self._instance)
        log.info("Configuration loaded: %s", self._in_force.fingerprint)
        overrides = "enabled" if self._in_force.overrides_enabled else "disabled"
        log.info("Model overrides: %s", overrides)
        log.info("Override rules loaded: %d", self._in_force.override_rules)
        self._tell_manager()

    def _tell_ports(self) -> None:
        taking = self._successor is not None and self._successor.phase is Phase.TAKING
        if self._in_force is not None and not (taking or self._is_heir()):
            loaded = self._in_force
            proxy_port = self._proxy.port if loaded.proxy_enabled else None
            self._notice.tell(gateway_enabled=loaded.gateway_enabled, proxy_port=proxy_port)

    def _tell_manager(self) -> None:
        if self._introduced and self._in_force is not None:
            loaded = self._in_force.fingerprint
            self._manager.ready(f"serving on http://{self._instance}, configuration {loaded}")
