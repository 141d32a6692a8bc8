"""Does the change hold for its bake time? Looks at intervals; each is on disk before it counts.

The evidence is judged in its anytime form, so that it may be looked at as often as one likes, and
goes on after a kill where it was. A soak that is not decided at its deadline is never GO.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from cco_migrate.config import ConfigName
from cco_migrate.context import Context
from cco_migrate.costs import read_costs
from cco_migrate.durations import show_duration
from cco_migrate.errors import InvalidInput, NotJournaled
from cco_migrate.judge.gate import GateRuling, Unmeasured, judge_gate
from cco_migrate.model import JsonObject, Step
from cco_migrate.pricing.prices import PriceTable
from cco_migrate.probes.site import Site
from cco_migrate.soak import text as soak_text
from cco_migrate.soak.evidence import Evidence, samples
from cco_migrate.soak.log import Closed, SoakLog, Window
from cco_migrate.soak.probes import look_at
from cco_migrate.soak.terms import Soak
from cco_migrate.verdict import Judgement, Verdict
from cco_migrate.world import World

_GLANCE_S = 0.2
"""How often a wait between two looks heeds what operators ask."""


class SoakThrough:
    """Params: see `soak_terms.Soak`."""

    def prepare(self, step: Step, context: Context) -> JsonObject:
        """Return the window to soak in: the open one, the decided one, or another."""
        log, now = _log(step, context), context.world.clock.now()
        window = log.window
        if window is not None and _goes_on(log, window, now):
            return window.to_json()
        number = window.number + 1 if window else 1
        deadline = now + timedelta(seconds=Soak.from_json(step.params).bake_s)
        return Window(number, now, deadline).to_json()

    def measure(self, step: Step, receipt: JsonObject, context: Context) -> JsonObject:
        """Look until the deadline, or until something is proved to be bad."""
        soak, window = Soak.from_json(step.params), Window.from_json(receipt)
        log = _log(step, context)
        try:
            return _soaked(soak, window, log, context)
        except OSError as error:
            raise NotJournaled(
                f"{log.path}: {error.strerror}; a look of the soak could not be written down",
                state="The change is applied and serves; the run is open, its evidence is kept.",
                next_command="invoke migrate",
            ) from error

    def judge(self, step: Step, facts: JsonObject) -> Judgement:
        """GO when every enforced criterion is; what is undecided at the deadline is not."""
        soak = Soak.from_json(step.params)
        gate = _ruled(soak, facts["statistics"])
        said = f"{gate.summary}; {facts['looks']} looks in {show_duration(soak.bake_s)}"
        if gate.verdict is Verdict.NO_GO:
            proved = [o.summary for o in gate.rulings if o.enforced and o.verdict is Verdict.NO_GO]
            said = "; ".join(proved)
        elif gate.verdict is Verdict.INCONCLUSIVE:
            said = f"not decided at its deadline: {_undecided(gate)}"
        found = {**facts, "criteria": soak_text.rows(soak, gate)}
        return Judgement(step.id, gate.verdict, said, found)


def standing(step: Step, run_dir: Path, world: World) -> list[str]:
    """Return where a soak stands, for people: its window, and a line for each criterion."""
    log, soak = SoakLog(run_dir, world.files, step.id), Soak.from_json(step.params)
    if log.window is None or log.evidence is None:
        return []
    now = log.closed.at if log.closed else world.clock.now()
    elapsed_s = (now - log.evidence.begun_at).total_seconds()
    gate = _ruled(soak, log.evidence.statistics(soak, now))
    head = f"{step.title}: {log.evidence.looks} looks, until {log.window.deadline_at:%F %T} UTC"
    if log.closed is not None:
        head = f"{step.title}: {log.evidence.looks} looks, ended with {log.closed.verdict}"
    return [head, *(f"  {line}" for line in soak_text.lines(soak, gate, elapsed_s))]


def _log(step: Step, context: Context) -> SoakLog:
    return SoakLog(context.run_dir, context.world.files, step.id)


def _goes_on(log: SoakLog, window: Window, now: datetime) -> bool:
    if log.closed is not None:
        return log.closed.verdict is not Verdict.INCONCLUSIVE
    return now < window.deadline_at


def _soaked(soak: Soak, window: Window, log: SoakLog, context: Context) -> JsonObject:
    if log.window is None or log.window.number < window.number:
        log.begin(window)
    clock, prices = context.world.clock, _prices(context)
    while log.closed is None:
        begun_s, now = clock.monotonic(), _look(soak, log, context, prices)
        evidence = _evidence(log)
        gate = _ruled(soak, evidence.statistics(soak, now))
        if gate.verdict is Verdict.NO_GO or now >= window.deadline_at:
            log.close(Closed(now, gate.verdict))
            break
        elapsed_s = (now - evidence.begun_at).total_seconds()
        left_s = (window.deadline_at - now).total_seconds()
        context.waiting(soak_text.live(soak, gate, elapsed_s), left_s)
        wait_s = max(min(soak.interval_s, left_s) - (clock.monotonic() - begun_s), 0.0)
        clock.wait_until(lambda: False, wait_s, every_s=min(_GLANCE_S, soak.interval_s))
    context.waiting("", 0)
    return _facts(soak, window, log)


def _prices(context: Context) -> PriceTable | Unmeasured:
    """Return the prices by which the gateway bills, or why no charge can be checked."""
    path = context.instance.config_dir / ConfigName.ORCHESTRA.filename
    try:
        tracking = read_costs(path, context.config_files()[ConfigName.ORCHESTRA])
    except InvalidInput as error:
        return Unmeasured(str(error))
    if not tracking.enabled:
        return Unmeasured("llmGateway.costTracking.enabled is false: no cost is known")
    return tracking.prices()


def _look(soak: Soak, log: SoakLog, context: Context, prices: PriceTable | Unmeasured) -> datetime:
    """Look once and keep what was seen; return when it began."""
    site = Site(context.gateway.url, context.world)
    look = look_at(site, soak, _evidence(log), context.run, prices)
    log.look(look)
    return look.at


def _evidence(log: SoakLog) -> Evidence:
    if log.evidence is None:
        raise ValueError("a look belongs to a window")
    return log.evidence


def _facts(soak: Soak, window: Window, log: SoakLog) -> JsonObject:
    evidence = _evidence(log)
    at = log.closed.at if log.closed else evidence.window_at
    return {
        "window": window.to_json(),
        "looks": evidence.looks,
        "statistics": evidence.statistics(soak, at),
        "samples": {"file": log.path.name, "head": log.head},
    }


def _ruled(soak: Soak, statistics: JsonObject) -> GateRuling:
    return judge_gate(soak.criteria, samples(soak, statistics), soak.terms)


def _undecided(gate: GateRuling) -> str:
    lacking = [o for o in gate.rulings if o.enforced and o.verdict is Verdict.INCONCLUSIVE]
    return "; ".join(one.summary for one in lacking if one.in_the_way) or gate.summary
