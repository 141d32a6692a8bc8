"""Rounds of a rehearsal: the cutover of a clone, and its ways back by flag and from the backup.

Runs the engine, for real, and believes none of it: what is back is looked at from outside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from cco_migrate.checks import CHECKS
from cco_migrate.checks.sending import resolve_credential
from cco_migrate.config import ConfigName
from cco_migrate.context import Waiting
from cco_migrate.engine import SOAK, Engine
from cco_migrate.errors import RunStaysOpen, ToolkitError
from cco_migrate.migrations.gateway_cutover import SOFT, VALIDATION, plan, switches
from cco_migrate.migrations.held_gate import HELD
from cco_migrate.migrations.inputs import Cutover, Inputs, Verification
from cco_migrate.model import Step
from cco_migrate.recovery.ways import Taken, Way
from cco_migrate.rehearsal import proofs
from cco_migrate.rehearsal.clone import Clone
from cco_migrate.rehearsal.streams import StreamingClient
from cco_migrate.runs.journal import Status
from cco_migrate.runs.store import Run, RunStore
from cco_migrate.steps.restoring import from_backup

CREDENTIAL = "demo"
MODEL = Cutover().model
STEP_S = 60.0

TakeBack = Callable[[str], Taken]
"""Cuts over and takes that way back once; is given the round's name, for people."""


@dataclass(frozen=True, slots=True)
class Quietly:
    """Shows a run inside a round as something that is awaited."""

    name: str
    say: Waiting

    def step_begins(self, step: Step) -> None:
        """Name the step."""
        self.say(f"{self.name}: {step.title}", STEP_S)

    def waiting(self, what: str, timeout_s: float) -> None:
        """Name what the step waits for."""
        self.say(f"{self.name}: {what}" if what else "", timeout_s)

    def step_ends(self, step: Step, *, verdict: str, summary: str, seconds: float) -> None:
        """Nothing: a round is one line."""


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What the rounds came to.

    Attributes:
        rounds: How many were carried through.
        faults: Of the round at which it stopped; empty when all were carried through.
    """

    rounds: int
    taken: tuple[Taken, ...]
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the rounds happen.

    Attributes:
        inputs: What each cutover is planned from.
        before: The clone's files, as every way back has to leave them.
    """

    clone: Clone
    store: RunStore
    inputs: Inputs
    before: Mapping[ConfigName, bytes | None]


def prepared(clone: Clone, streams: int, *, replace_workers: bool) -> Stage:
    """Return the stage, with the gate of phase 1 held and GO.

    Args:
        streams: How many verification streams a gate sends at most.
        replace_workers: Whether the deployment swaps workers, or stops and starts its gateway.

    Raises:
        ToolkitError: It is not GO, so that there is no cutover to come back from.
    """
    context, files = clone.context, clone.context.config_files()
    inputs = Inputs(
        context.instance, files, fix=False, replace=replace_workers, known_models=(),
        verification=Verification(models=(MODEL,), credential=CREDENTIAL),
        cutover=Cutover(VALIDATION, model=MODEL, streams=streams),
    )  # fmt: skip
    stage = Stage(clone, RunStore(context.instance.migrate_dir, context.world), inputs, files)
    run = stage.store.create(plan(inputs))
    try:
        engine_of(stage, run, "gate of phase 1").run()
    except ToolkitError as error:
        raise ToolkitError(
            f"the gate of phase 1 is not GO on the clone: {error}",
            state="The deployment was not touched; no way back was rehearsed.",
            next_command="invoke gate --phase 1",
        ) from error
    cutover = replace(inputs.cutover, phase=SOFT, validated=run.id)
    return replace(stage, inputs=replace(inputs, cutover=cutover))


def rehearse(
    ways: Mapping[Way, TakeBack], rounds: int, tell: Callable[[int, Sequence[Taken]], None]
) -> Rehearsed:
    """Take every way back once a round; stop at the first fault, for what is left is unknown.

    Args:
        tell: Is given each round's number, from 1, and what it came to.
    """
    all_taken: list[Taken] = []
    for number in range(1, rounds + 1):
        name, taken = f"round {number} of {rounds}", list[Taken]()
        for take_back in ways.values():
            taken.append(take_back(name))
            if taken[-1].faults:
                break
        all_taken += taken
        tell(number, taken)
        last = taken[-1]
        if last.faults:
            faults = tuple(f"round {number}, back by {last.way}: {one}" for one in last.faults)
            return Rehearsed(number - 1, tuple(all_taken), faults)
    return Rehearsed(rounds, tuple(all_taken), ())


def ways_of(stage: Stage) -> dict[Way, TakeBack]:
    """Return the ways back that need nothing but the deployment."""

    def by(way: Way) -> TakeBack:
        return lambda name: take(stage, way, name)

    return {way: by(way) for way in (Way.FLAG, Way.BACKUP)}


def take(stage: Stage, way: Way, name: str) -> Taken:
    """Cut the clone over and take it back once, with a client on it meanwhile.

    Args:
        name: Of the round, for people.
    """
    url, key = stage.clone.context.instance.url, resolve_credential(CREDENTIAL)
    with StreamingClient(url, MODEL, key) as client:
        try:
            run = cut_over(stage, name)
        except ToolkitError as error:
            return Taken(way, faults=(f"it was not cut over: {error}",))
        return way_back(stage, run, way, client, name)


def cut_over(stage: Stage, name: str) -> Run:
    """Carry the soft cutover out on the clone; a gate that cannot decide leaves it cut over.

    Raises:
        ToolkitError: It failed, so that no way back begins where it should.
    """
    run = stage.store.create(plan(stage.inputs))
    try:
        engine_of(stage, run, name).run()
    except RunStaysOpen:
        # Who comes back does so mostly from here: the switches stand, the gate is not content.
        if run.state.status is not Status.OPEN or not run.state.done("routes"):
            raise
    return run


def way_back(stage: Stage, run: Run, way: Way, client: StreamingClient, name: str) -> Taken:
    """Take a cutover back and look, from outside, at what is there then; never raises for it."""
    try:
        return _taken_back(stage, run, way, client, name)
    except ToolkitError as error:
        return Taken(way, faults=(str(error),))


def engine_of(stage: Stage, run: Run, name: str) -> Engine:
    """Return what carries out a run of the clone.

    Args:
        name: What is shown of it to people, before what it waits for.
    """
    context = stage.clone.context
    return Engine(
        run.plan, run.journal, context.world, Quietly(name, context.waiting), dict,
        checks={**CHECKS, **SOAK, **HELD},
    )  # fmt: skip


def _taken_back(stage: Stage, run: Run, way: Way, client: StreamingClient, name: str) -> Taken:
    context = stage.clone.context
    recorded = {*proofs.newest(context), *filter(None, client.seen.whole)}
    restore = None if way is Way.FLAG else from_backup
    begun_s = context.world.clock.monotonic()
    engine_of(stage, run, f"{name}, back by {way}").roll_back(restore, why=f"rehearsal, by {way}")
    different, lost = proofs.different(stage.before, context), proofs.lost(context, recorded)
    key, proxied = resolve_credential(CREDENTIAL), switches(stage.inputs).proxy
    faults = (
        *(f"{one.filename} is not as before" for one in different),
        *proofs.not_served(client, context),
        *(proofs.not_proxied(stage.clone.upstream, key, context) if proxied else ()),
        *([f"{len(lost)} of {len(recorded)} recorded requests are gone"] if lost else []),
    )
    seen, told = client.seen, run.state.steps["back-clients"].evidence or {}
    return Taken(
        way,
        seconds=round(context.world.clock.monotonic() - begun_s, 3),
        recovered_s=told.get("recovered_s"),
        faults=faults,
        requests=len(recorded),
        requests_lost=len(lost),
        files=len(stage.before),
        files_different=len(different),
        streams=len(seen.whole),
        streams_broken=len(seen.broken),
    )
