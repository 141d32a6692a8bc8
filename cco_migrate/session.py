"""What every command shares: options, surroundings, result, and how it is interrupted."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from cco_migrate.context import Context
from cco_migrate.errors import Interrupted, InvalidInput, NeedsAnswer
from cco_migrate.model import Instance
from cco_migrate.progress import Output
from cco_migrate.runs import lock
from cco_migrate.runs.store import RunStore
from cco_migrate.target import Target, home_of, instance_of
from cco_migrate.world import World

DEFAULT_KIND = "model-overrides"
DEFAULT_KEY, DEMO_KEY = "env:ANTHROPIC_API_KEY", "demo"


@dataclass(frozen=True, slots=True)
class Result:
    """What a command ends with.

    Attributes:
        text: For people, on standard output.
        document: The same for machines; printed instead of the text with --json.
        code: Exit code.
    """

    text: str
    document: Mapping[str, object] = field(default_factory=dict)
    code: int = 0


@dataclass(frozen=True, slots=True)
class MigrateOptions:
    """What the operator asked for, besides the target.

    Attributes:
        kind: A key of `migrations.MIGRATIONS`; "" for that of the open run, else DEFAULT_KIND.
        yes: Answer every question with yes.
        no_input: Never ask: a question ends the command with exit 12.
        traffic: "send", "watch", or "" for the default.
        key: Reference to the credential of the verification requests.
        requests: How many verification requests; 0 for the default.
        watch_s: How long to watch for real clients.
        only: Id of the one step to do; "" for all.
        lock_timeout_s: How long to wait for a lock that somebody else holds.
        waive: Names of failed checks to accept, separated by commas.
        why: Why failed criteria are waived, in the operator's words.
        soak: Bake time after the change, e.g. "30m"; "" for no soak.
        soak_interval: Between two looks; "" for one that fits the bake time.
        soak_requests: How many requests of our own the soak may send; counted apart.
        on_no_go: What a NO-GO of the soak leads to: a value of `model.OnNoGo`.
        criteria: JSON file that changes the soak's criteria.
        plan: File of a plan that was saved before; "" to make a new one.
        out: File to save the plan in; "" for none.
        phase: Which phase of a gateway cutover.
        standby: Whether the old proxy stays as a warm standby.
        canary: Rising percent of launches that go to the gateway before the soft cutover, separated
            by commas; "" for no canary.
        canary_soak: How long each of them is watched; "" for the default.
        model: Asked for by the verification streams of a cutover's gates.
        streams: How many of them a gate sends at most; 0 sends nothing.
        baseline: File of the old path's times, for the gate of phase 2; "" for none.
        manifest: File that says what phase 3 removes; "" in other phases.
        repository: Root of the repository it is removed from; "" for the one the manifest is in.
        confirm: The words that a plan which cannot be undone asks for; "" to be asked for them.
    """

    kind: str = ""
    fix: bool = False
    yes: bool = False
    no_input: bool = False
    dry_run: bool = False
    traffic: str = ""
    key: str = ""
    requests: int = 0
    watch_s: float = 300.0
    only: str = ""
    lock_timeout_s: float = 0.0
    waive: str = ""
    why: str = ""
    soak: str = ""
    soak_interval: str = ""
    soak_requests: int = 0
    on_no_go: str = "rollback"
    criteria: str = ""
    plan: str = ""
    out: str = ""
    phase: int = 1
    standby: bool = False
    canary: str = ""
    canary_soak: str = ""
    model: str = "claude-haiku-4-5-20251001"
    streams: int = 66
    baseline: str = ""
    manifest: str = ""
    repository: str = ""
    confirm: str = ""


@dataclass(frozen=True, slots=True)
class Session:
    """One command's surroundings: the target, the world, the output."""

    target: Target
    out: Output
    world: World = field(default_factory=World.real)

    @property
    def home(self) -> Path:
        """The state root."""
        return home_of(self.target, os.environ, self.world)

    @property
    def store(self) -> RunStore:
        """The runs of the state root."""
        return RunStore(self.home / "migrate", self.world)

    def instance(self) -> Instance:
        """The gateway this command is about."""
        return instance_of(self.target, os.environ, self.world)

    def context(self, instance: Instance) -> Context:
        """A context outside of any run."""
        return Context(
            self.world, instance, "none", instance.migrate_dir, {}, self.out.waiting, dict
        )

    @contextmanager
    def locked(
        self, why: str, timeout_s: float = 0.0, *, take_over: bool = False, begun: bool = False
    ) -> Iterator[lock.Lease]:
        """Hold the state root's lock; SIGTERM and SIGINT end the command, the run is resumable.

        What commands that were killed have left half written is swept away first.

        Args:
            why: What for, shown to whoever finds it held.
            timeout_s: How long to wait for it; 0 asks once.
            take_over: Also succeed an owner on another host that has died.
            begun: Whether a run is needed; without any no lock is made either.

        Raises:
            LockHeld: Somebody else holds it.
            InvalidInput: The state root cannot be written, or nothing was begun in it.
        """
        where, world = self.home / "migrate", self.world
        if begun and not self.store.root.is_dir():
            raise InvalidInput(
                f"there is no run under {self.store.root}", next_command="invoke status"
            )
        with (
            lock.held(where, world, why=why, timeout_s=timeout_s, take_over=take_over) as lease,
            _signals(),
        ):
            self.store.sweep()
            yield lease


def shown(path: Path | str) -> str:
    """Return a path as short as it can be typed here."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def confirm(session: Session, question: str, *, yes: bool, no_input: bool) -> None:
    """Ask before anything changes.

    Raises:
        NeedsAnswer: Nobody can be asked.
        InvalidInput: The answer was no.
    """
    if yes:
        return
    if no_input or not os.isatty(0):
        raise NeedsAnswer(
            f"{question} needs an answer and nobody can be asked",
            state="Nothing was changed.",
            next_command="the same command with --yes",
        )
    if not session.out.ask(question):
        raise InvalidInput("not applied: the answer was no")


def confirm_typed(session: Session, wanted: str, *, given: str, asked: bool) -> None:
    """Ask for words that nobody types by habit, before what cannot be undone by a command.

    Args:
        wanted: The words.
        given: What was typed on the command line; "" when nothing was.
        asked: Whether a person may be asked.

    Raises:
        NeedsAnswer: Nobody typed them; a general yes is not enough.
        InvalidInput: They are others.
    """
    if not given:
        if not asked or not os.isatty(0):
            raise NeedsAnswer(
                f"this has to be confirmed by typing: {wanted}",
                state="Nothing was changed.",
                next_command=f'the same command with --confirm "{wanted}"',
            )
        given = session.out.read(f"To go on, type `{wanted}`:")
    if given != wanted:
        raise InvalidInput(f"not applied: {given!r} was typed, {wanted!r} is asked for")


@contextmanager
def _signals() -> Iterator[None]:
    """Turn SIGINT and SIGTERM into Interrupted, so that `finally` blocks run for both."""

    def stop(signum: int, _frame: FrameType | None) -> None:
        raise Interrupted(signum)  # no ToolkitError: the engine must not take it for a failed step

    before = {s: signal.signal(s, stop) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
