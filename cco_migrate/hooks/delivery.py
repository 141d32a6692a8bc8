"""Tells hooks what a run does: all at once, each with its timeout; faults are only journaled."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import cco_migrate
from cco_migrate.checks import CHECKS
from cco_migrate.errors import ToolkitError
from cco_migrate.hooks.definitions import (
    POINTS,
    Hook,
    Kind,
    Point,
    event_of,
    is_reference,
    secret_of,
)
from cco_migrate.runs.journal import Entry, Event
from cco_migrate.runs.store import Run
from cco_migrate.world import World

_ALWAYS = frozenset({Point.ROLLBACK, Point.FINISHED})
"""What a hook is told although it was too slow before: a page must not be lost."""
_GRACE_S = 0.5
_NOT_WRITTEN = "what hooks did is not written down"


@dataclass(frozen=True, slots=True)
class Told:
    """How one delivery ended.

    Attributes:
        fault: What went wrong, without any secret; empty when nothing did.
        late: Whether it did not end in time.
    """

    hook: Hook
    fault: str = ""
    late: bool = False

    def __str__(self) -> str:
        return f"{self.hook.name}: {self.fault or 'told'}"


class Announcer:
    """Tells the hooks of one run; called with each journal line, after it is on disk.

    Args:
        say: Shows the operator a line.
        confirm: Raises LockLost when the journal is somebody else's by now.
    """

    def __init__(
        self,
        hooks: Sequence[Hook],
        run: Run,
        world: World,
        say: Callable[[str], None],
        confirm: Callable[[], None] = lambda: None,
    ) -> None:
        self.hooks, self.plan, self.journal = tuple(hooks), run.plan, run.journal
        self.world, self._say, self._confirm = world, say, confirm
        self._slow: set[Hook] = set()

    def __call__(self, entry: Entry) -> None:
        """Tell whoever asked for it, and journal how that ended.

        Takes as long as the slowest, at most its timeout. A hook that was too slow is told no more
        steps by this command, so that it delays a rollback only once.
        """
        due = []
        for hook in self.hooks:
            point = next((one for one in self._points(entry) if one in hook.on), None)
            if point is not None and (hook not in self._slow or point in _ALWAYS):
                due.append((hook, event_of(entry, self.plan, point)))
        told = _deliver_all(due, self.world)
        for one in told:
            if one.late:
                self._slow.add(one.hook)
            if one.fault:
                self._say(f"  hook  {one}")
        if told:
            self._write_down(entry, told)

    def _write_down(self, entry: Entry, told: Sequence[Told]) -> None:
        """Journal how it ended; where that cannot be done it is said, and stops no run."""
        rows = [{"hook": one.hook.name, "fault": one.fault or None} for one in told]
        data = {"seq": entry.seq, "event": entry.event.value, "hooks": rows}
        faults = sum(bool(one.fault) for one in told)
        try:
            self._confirm()  # hooks take their time: somebody may have taken the run over
            self.journal.append(
                Event.TOLD,
                entry.step,
                reason=f"{len(told) - faults} of {len(told)} told",
                data=data,
            )
        except OSError as error:
            self._say(f"  hook  {self.journal.path}: {error.strerror}; {_NOT_WRITTEN}")
        except ToolkitError as error:
            self._say(f"  hook  {error}; {_NOT_WRITTEN}")

    def _points(self, entry: Entry) -> tuple[Point, ...]:
        if entry.event is Event.PREPARED and self.plan.step(entry.step).uses not in CHECKS:
            return ()  # `applying` comes next, also when a killed step is taken up again
        return POINTS.get(entry.event, ())


def _deliver_all(due: Sequence[tuple[Hook, Mapping[str, object]]], world: World) -> list[Told]:
    # Threads, because no library bounds the whole of a delivery; daemons, so that one that hangs
    # does not keep the command from ending.
    ended: dict[int, Told] = {}
    threads = []
    for number, (hook, event) in enumerate(due):

        def deliver(number: int = number, hook: Hook = hook, event: object = event) -> None:
            ended[number] = _deliver(hook, json.dumps(event, ensure_ascii=False), world)

        thread = threading.Thread(target=deliver, daemon=True)
        thread.start()
        threads.append((thread, hook))
    begun, told = world.clock.monotonic(), []
    for number, (thread, hook) in enumerate(threads):
        left = begun + hook.timeout_s + _GRACE_S - world.clock.monotonic()
        thread.join(max(left, 0))
        late = Told(hook, f"not done within {hook.timeout_s:g} s", late=True)
        told.append(ended.get(number, late))
    return told


def _deliver(hook: Hook, body: str, world: World) -> Told:
    try:
        return Told(hook, DELIVERIES[hook.kind](hook, body, world))
    except ToolkitError as error:
        late = hook.kind is Kind.COMMAND and "did not end within" in str(error)
        return Told(hook, str(error), late)
    except Exception as error:  # noqa: BLE001  # whatever a library of others raises: a hook fails no run
        return Told(hook, type(error).__name__, "Timeout" in type(error).__name__)


def _run_command(hook: Hook, body: str, world: World) -> str:
    # `env` hands the event over: the port runs commands with our own environment and no input.
    command = ["env", f"CCO_HOOK_EVENT={body}", *hook.run]
    done = world.processes.run(command, hook.timeout_s)
    return f"ended with {done.code}" if done.code else ""


def _post(hook: Hook, body: str, world: World) -> str:
    import httpx  # noqa: PLC0415  # 80 ms that `--list` must not pay

    data = body.encode()
    headers = {
        "content-type": "application/json",
        "user-agent": f"cco-migrate/{cco_migrate.__version__}",
    }
    if hook.secret:
        stamp = str(int(world.clock.now().timestamp()))
        headers |= {"x-cco-timestamp": stamp, "x-cco-signature": signature(hook, stamp, data)}
    url = secret_of(hook.url) if is_reference(hook.url) else hook.url
    # A client of its own: the world's belongs to the main thread, and to gateways.
    with (
        httpx.Client(trust_env=False, timeout=hook.timeout_s) as client,
        client.stream("POST", url, content=data, headers=headers) as answer,
    ):
        return "" if answer.is_success else f"answered {answer.status_code}"


def signature(hook: Hook, timestamp: str, body: bytes) -> str:
    """Return what `x-cco-signature` holds; raises InvalidInput when there is no such secret."""
    key = secret_of(hook.secret).encode()
    signed = timestamp.encode() + b"." + body
    return "sha256=" + hmac.new(key, signed, hashlib.sha256).hexdigest()


def _apprise(hook: Hook, body: str, _world: World) -> str:
    try:
        from apprise import Apprise  # noqa: PLC0415  # an extra
    except ImportError:
        return "Apprise is not installed; pip install 'cco-migrate[apprise]'"
    event = json.loads(body)
    sender = Apprise()
    if not sender.add(secret_of(hook.url)):
        return "not an address Apprise knows"
    title = f"cco-migrate: {event['event']} ({event['instance']}, run {event['run']})"
    return "" if sender.notify(title=title, body=event["summary"] or title) else "not delivered"


DELIVERIES: Mapping[Kind, Callable[[Hook, str, World], str]] = {
    Kind.COMMAND: _run_command,
    Kind.WEBHOOK: _post,
    Kind.APPRISE: _apprise,
}
"""How each kind is told; each returns what went wrong, or an empty text."""
