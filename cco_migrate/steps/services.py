"""Steps on the gateway process: stop, start, replace workers, converge to what the files say."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import urlsplit

from cco_migrate import config
from cco_migrate.availability import AvailabilityProbe
from cco_migrate.client import Health, NotAGateway, Unreachable, Workers
from cco_migrate.context import Context, Outcome
from cco_migrate.drivers import Started, adopted, driver_of
from cco_migrate.errors import InvalidInput, ToolkitError
from cco_migrate.model import JsonObject, Step

STOP_TIMEOUT_S = 600.0
READY_TIMEOUT_S = 60.0


class KeepServing:
    """Nothing is stopped: the next step replaces the workers while the socket stays open."""

    def prepare(self, step: Step, context: Context) -> JsonObject:
        """Check that the instance can do that."""
        if not driver_of(context).can_replace():
            raise ToolkitError(
                f"{context.instance.name} runs no gateway that can be replaced in place"
            )
        return {}

    def apply(self, step: Step, receipt: JsonObject, context: Context) -> Outcome:
        """Say so."""
        return Outcome(
            "not needed: the workers are replaced while the socket stays open", {"stopped": False}
        )

    def undo(self, step: Step, receipt: JsonObject, context: Context) -> str:
        """Nothing to take back."""
        return ""


class StopService:
    """Stop the gateway cleanly. The way back starts it again."""

    def prepare(self, step: Step, context: Context) -> JsonObject:
        """Note what runs."""
        return {"found": driver_of(context).find()}

    def apply(self, step: Step, receipt: JsonObject, context: Context) -> Outcome:
        """Stop it and note when the last answer was possible."""
        driver = driver_of(context)
        stopping_at = context.world.clock.now()
        what = driver.stop(STOP_TIMEOUT_S) if driver.find() else "already stopped"
        return Outcome(f"{what}", {"stopped": True, "stopping_at": stopping_at.isoformat()})

    def undo(self, step: Step, receipt: JsonObject, context: Context) -> str:
        """Leave it to the way back, which runs after the files are as they were."""
        return ""


class StartService:
    """Start the gateway and wait until it is ready; downtime counts from the stop before it.

    Params: `stop`, the id of that step; "stop" when it is not named.
    """

    def prepare(self, step: Step, context: Context) -> JsonObject:
        """Check that the port is free or ours."""
        return {}

    def apply(self, step: Step, receipt: JsonObject, context: Context) -> Outcome:
        """Start it; when something of ours already answers (a resumed run) adopt it."""
        driver = driver_of(context)
        restart_only = bool(context.instance.driver.restart and not context.instance.driver.stop)
        if restart_only or (driver.find() or adopted(context, driver.find)) is None:
            begun = context.world.clock.now()
            await_ready(context, driver.start(), answers_from_before=restart_only)
        else:
            begun = context.world.clock.now()
            await_answer(context)
        stop = step.params.get("stop", "stop")
        stopped = context.evidence.get(stop, {}).get("stopping_at")
        since = datetime.fromisoformat(stopped) if stopped else begun
        downtime = (context.world.clock.now() - since).total_seconds()
        return Outcome(
            f"ready; {downtime:.1f} s without an answer at most", {"downtime_s": downtime}
        )

    def undo(self, step: Step, receipt: JsonObject, context: Context) -> str:
        """Leave it to the way back."""
        return ""


class ReplaceWorkers:
    """Replace the workers of a bundled gateway; its socket is never closed."""

    def prepare(self, step: Step, context: Context) -> JsonObject:
        """Note the generation that serves now."""
        return {"generation": _workers(context).generation}

    def apply(self, step: Step, receipt: JsonObject, context: Context) -> Outcome:
        """Ask for it, wait for the new generation, probe on fresh connections meanwhile."""
        return replace_workers(context, receipt["generation"])

    def undo(self, step: Step, receipt: JsonObject, context: Context) -> str:
        """Leave it to the way back."""
        return ""


class Converge:
    """Bring the gateway to run exactly what its files say, whatever state it is in.

    Params: `overrides_enabled`, by which a gateway without a fingerprint is judged.
    """

    def prepare(self, step: Step, context: Context) -> JsonObject:
        """Nothing to capture: the way back has no way back."""
        return {}

    def apply(self, step: Step, receipt: JsonObject, context: Context) -> Outcome:
        """Do nothing when it already runs that; else replace, restart or start it."""
        driver, begun_at = driver_of(context), context.world.clock.now().isoformat()
        if (driver.find() or adopted(context, driver.find)) is None:
            await_ready(context, driver.start())
            return Outcome("started", {"how": "start", "begun_at": begun_at})
        if _runs(context, step):
            return Outcome("it never left the old configuration", {"how": "none"})
        if driver.can_replace():
            done = replace_workers(context, _workers(context).generation)
            facts = {"how": "replace", "begun_at": begun_at, **done.facts}
            return Outcome(done.summary, facts)
        driver.stop(STOP_TIMEOUT_S)
        spec = context.instance.driver
        await_ready(
            context, driver.start(), answers_from_before=bool(spec.restart and not spec.stop)
        )
        return Outcome("stopped and started", {"how": "restart", "begun_at": begun_at})

    def undo(self, step: Step, receipt: JsonObject, context: Context) -> str:
        """Nothing to take back."""
        return ""


def replace_workers(context: Context, generation: int) -> Outcome:
    """Replace the worker set and wait until a newer generation than this one serves alone.

    Raises:
        InvalidInput: The new set did not get ready, and what it said. The old one serves on.
        ToolkitError: Nobody can be asked to do it, or nothing of it was seen in time.
    """
    clock, begun = context.world.clock, context.world.clock.monotonic()
    now = _workers(context)
    context.waiting("the new workers to prove themselves", READY_TIMEOUT_S)
    with AvailabilityProbe(context.instance.url) as probe:
        if now.generation <= generation:  # else we were killed after asking, and it was done
            driver_of(context).replace()
        if not clock.wait_until(lambda: _replaced(context, generation, now), READY_TIMEOUT_S):
            raise ToolkitError(f"no new workers were ready within {READY_TIMEOUT_S:.0f} s")
        seconds = clock.monotonic() - begun
    seen = probe.result
    facts = {
        "seconds": round(seconds, 3), "probes": seen.probes, "failed_probes": seen.failed,
        "longest_gap_s": round(seen.longest_gap_s, 3), "downtime_s": round(seen.longest_gap_s, 3),
    }  # fmt: skip
    socket = "socket never closed" if not seen.failed else "the port was gone for a moment"
    return Outcome(f"{socket}; {seen.probes} probes during the swap, {seen.failed} refused", facts)


def current_workers(context: Context) -> Workers | None:
    """Return the workers of the gateway that the driver signals; None when it has no such list.

    For a moment after a gateway was replaced by a new one, workers of the old one still answer,
    and list the old ones. A list that does not say whose it is is believed.

    Raises:
        Unreachable, NotAGateway: As the client.
        ToolkitError: Only another gateway answered until the time was over.
    """
    driver = driver_of(context)
    found: Workers | None = None

    def ours() -> bool:
        nonlocal found
        found, pid = context.gateway.workers(), driver.pid()
        return found is None or None in (found.supervisor, pid) or found.supervisor == pid

    if ours():
        return found
    context.waiting(f"pid {driver.pid()} to answer, not another gateway", READY_TIMEOUT_S)
    if not context.world.clock.wait_until(ours, READY_TIMEOUT_S):
        raise ToolkitError(
            f"{context.instance.url} is answered by another gateway than pid {driver.pid()}"
        )
    return found


def await_ready(context: Context, started: Started, *, answers_from_before: bool = False) -> None:
    """Wait until the gateway answers `/health` with "ok".

    Args:
        answers_from_before: The command restarts by itself; answers count after it has ended.

    Raises:
        ToolkitError: It ended, somebody else has its port, or the time is over; with its last
            lines of output.
    """
    context.waiting(f"{context.instance.url} to be ready", READY_TIMEOUT_S)
    dead: list[str] = []

    def ready() -> bool:
        failure = started.failure()
        if failure is not None:
            dead.append(failure)
            return True
        if answers_from_before and started.process.poll() is None:
            return False
        health = _health(context)
        return health is not None and health.status == "ok" and driver.find() is not None

    driver = driver_of(context)
    in_time = context.world.clock.wait_until(ready, READY_TIMEOUT_S)
    if dead:
        raise ToolkitError(f"the gateway died at start: {dead[0]}")
    if not in_time:
        port = urlsplit(context.instance.url).port
        raise ToolkitError(
            f"port {port} was not ready within {READY_TIMEOUT_S:.0f} s; "
            f"it said: {started.last_lines() or 'nothing'}"
        )


def await_answer(context: Context) -> None:
    """Wait for a gateway that an earlier, killed attempt has started.

    Raises:
        ToolkitError: It did not answer that it is "ok" in time.
    """

    def ready() -> bool:
        health = _health(context)
        return health is not None and health.status == "ok"

    if not context.world.clock.wait_until(ready, READY_TIMEOUT_S):
        raise ToolkitError(
            f"{context.instance.url} runs and was not ready within {READY_TIMEOUT_S:.0f} s"
        )


def _replaced(context: Context, generation: int, asked: Workers) -> bool:
    now = _workers(context)
    if now.reload_error is not None and now.reload_finished_at != asked.reload_finished_at:
        raise InvalidInput(
            f"the new workers did not get ready: {now.reload_error}",
            state="The old workers serve on; no request was lost.",
        )
    return now.generation > generation and all(w.generation > generation for w in now.serving)


def _workers(context: Context) -> Workers:
    try:
        found = current_workers(context)
    except (Unreachable, NotAGateway) as error:
        raise ToolkitError(str(error)) from error
    if found is None:
        raise ToolkitError(f"{context.instance.url} does not say which workers it has")
    return found


def _health(context: Context) -> Health | None:
    try:
        return context.gateway.health()
    except (Unreachable, NotAGateway):
        return None


def _runs(context: Context, step: Step) -> bool:
    health = _health(context)
    if health is None or health.status != "ok":
        return False
    if health.fingerprint is not None:
        try:
            found = context.gateway.workers()
        except (Unreachable, NotAGateway):
            return False
        wanted = config.fingerprint(context.config_files())
        return found is not None and {w.fingerprint for w in found.serving} == {wanted}
    return health.overrides_enabled is step.params["overrides_enabled"]
