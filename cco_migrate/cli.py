"""The command line: one Invoke namespace, for `invoke TASK` and for the script `cco-migrate`.

Only Invoke and the standard library are imported here, so that `--list` is as fast as with an empty
tasks file.
"""

from __future__ import annotations

import json
import os
import re
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import Parameter, Signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoke.collection import Collection
from invoke.exceptions import Exit, ParseError
from invoke.program import Program
from invoke.tasks import Task

import cco_migrate

if TYPE_CHECKING:
    from invoke.context import Context

    from cco_migrate.commands import MigrateOptions, Result, Session
    from cco_migrate.errors import ToolkitError

CODES = {
    0: "done, GO, or nothing to do",
    1: "unexpected error",
    2: "the plan has changes (plan --detailed-exitcode)",
    3: "NO-GO",
    4: "INCONCLUSIVE: not enough evidence; the run stays open",
    5: "HOLD: a person has to decide",
    6: "the migration failed and was rolled back",
    7: "the rollback failed: page somebody",
    8: "preflight or validation failed; nothing was changed",
    9: "stale plan or drift",
    11: "the lock is held by another run",
    12: "waiting for a person; resumable",
    64: "usage",
    130: "SIGINT",
    143: "SIGTERM",
}


@dataclass(frozen=True, slots=True)
class Option:
    """One option: its default, which also gives its type, and its help."""

    default: str | bool | int
    help: str


OPTIONS: dict[str, Option] = {
    "home": Option("", "state root of your deployment ($CCO_HOME, default ~/.cco)"),
    "config": Option("", "your model-overrides.toml"),
    "url": Option("", "base URL of your gateway, e.g. http://127.0.0.1:3000"),
    "driver": Option("", "how it is restarted: process (bundled gateway) or command (any other)"),
    "stop": Option("", "command that stops it (driver command)"),
    "start": Option("", "command that starts it (driver command)"),
    "restart": Option("", "one command in place of stop and start (driver command)"),
    "log": Option("", "file it logs to, watched for the override lines"),
    "fix": Option(False, "add the dashed twin of each dotted rule id"),
    "yes": Option(False, "answer every question with yes"),
    "no_input": Option(False, "never ask: a question ends with exit 12"),
    "dry_run": Option(False, "show what would happen and change nothing"),
    "json": Option(False, "one JSON document on standard output"),
    "quiet": Option(False, "say nothing but the result"),
    "events": Option("", "append one JSON object per event to this file"),
    "upstream": Option("demo", "upstream of the demo deployment"),
    "traffic": Option(
        "", "how the change is proved: send requests (default), or watch real clients"
    ),
    "key": Option(
        "",
        "verification credential: file:PATH or env:NAME (default env:ANTHROPIC_API_KEY)",
    ),
    "requests": Option(0, "how many verification requests (default 2; the demo sends 24)"),
    "watch_s": Option(300, "how long to watch for real clients, in seconds"),
    "lock_timeout": Option(0, "how long to wait for another run's lock, in seconds"),
    "kind": Option("model-overrides", "which migration"),
    "run": Option("", "run id (default: the newest)"),
    "by": Option("flag", "flag (take back this run's edits) or backup (restore the saved files)"),
    "detailed_exitcode": Option(False, "exit 2 when the plan has changes"),
    "rounds": Option(5, "how many rounds; the median counts"),
    "item": Option("team-notified", "what is attested"),
    "person": Option("", "whose word it is"),
}
TARGET = ("home", "config", "url", "driver", "stop", "start", "restart", "log")
OUTPUT = ("json", "quiet", "events")
PLANNING = (*TARGET, *OUTPUT, "kind", "fix", "traffic", "key", "requests", "watch_s")
APPLYING = (*PLANNING, "yes", "no_input", "lock_timeout", "upstream")

Act = Callable[["Session", Namespace], "Result"]


def task(*options: str, name: str = "", default: bool = False) -> Callable[[Act], Any]:
    """Make an Invoke task of a function.

    Its options come from OPTIONS: no positionals, no guessed short flags. Verdicts become exit
    codes, errors become messages. Returns Any because Invoke's Task is generic over what it calls.
    """

    def decorate(act: Act) -> Any:
        def body(context: Context, **values: Any) -> None:  # Any: Invoke's parsed values
            _run(act, context, Namespace(**values))

        parameters = [Parameter("context", Parameter.POSITIONAL_OR_KEYWORD)]
        parameters += [
            Parameter(o, Parameter.POSITIONAL_OR_KEYWORD, default=OPTIONS[o].default)
            for o in options
        ]
        body.__signature__ = Signature(parameters)  # type: ignore[attr-defined]  # what inspect.signature reads
        body.__doc__ = act.__doc__
        helps = {o.replace("_", "-"): OPTIONS[o].help for o in options}
        return Task(
            body,
            name=name or act.__name__,
            positional=(),
            default=default,
            auto_shortflags=False,
            help=helps,
        )

    return decorate


@task(*APPLYING, "dry_run")
def migrate(session: Session, o: Namespace) -> Result:
    """Turn on model overrides, step by step; a rerun goes on where the last one stopped."""
    from cco_migrate import commands

    _check_upstream(o)
    return commands.migrate(session, _migrate_options(o))


@task(*PLANNING, "detailed_exitcode")
def plan(session: Session, o: Namespace) -> Result:
    """Show what a run would do: every diff, every step; change nothing."""
    from cco_migrate import commands

    return commands.plan_only(session, _migrate_options(o), detailed_exitcode=o.detailed_exitcode)


@task(*PLANNING)
def check(session: Session, o: Namespace) -> Result:
    """Run the preflight alone: files, gateway, traffic, trial start."""
    from cco_migrate import commands

    return commands.check(session, _migrate_options(o))


@task("home", *OUTPUT)
def status(session: Session, o: Namespace) -> Result:
    """Say where the last run stands, what it waits for and what to type next."""
    from cco_migrate import commands

    return commands.status(session)


@task("home", *OUTPUT, "item", "person", "run")
def approve(session: Session, o: Namespace) -> Result:
    """Record a person's word in the journal, e.g. that the team was notified (--person NAME)."""
    from cco_migrate import commands

    return commands.approve(session, item=o.item, by=o.person, run_id=o.run)


@task("json")
def codes(session: Session, o: Namespace) -> Result:
    """List the exit codes."""
    from cco_migrate.commands import Result

    text = "\n".join(f"{code:>4}  {meaning}" for code, meaning in CODES.items())
    return Result(
        text, {"schema_version": 1, "codes": {str(code): text for code, text in CODES.items()}}
    )


@task("home", *OUTPUT, "run", "by", "yes", "no_input", name="run", default=True)
def rollback(session: Session, o: Namespace) -> Result:
    """Undo the last run, restart, and prove that the old state is loaded."""
    from cco_migrate import commands

    return commands.rollback(session, by=o.by, run_id=o.run, yes=o.yes, no_input=o.no_input)


@task("home", *OUTPUT, "run", name="show", default=True)
def report(session: Session, o: Namespace) -> Result:
    """Write the report of a run again, from its journal."""
    from cco_migrate import commands

    return commands.show_report(session, o.run)


@task(*OUTPUT, "kind")
def runbook(session: Session, o: Namespace) -> Result:
    """Print the runbook of a migration: every step by hand, with what should be seen."""
    from cco_migrate import commands

    return commands.show_runbook(o.kind)


@task(*TARGET, *OUTPUT, name="list", default=True)
def backups(session: Session, o: Namespace) -> Result:
    """List the backups, each verified by restoring it to scratch."""
    from cco_migrate import commands

    return commands.backup_list(session)


@task(*TARGET, *OUTPUT, name="start")
def gateway_start(session: Session, o: Namespace) -> Result:
    """Start the gateway of the target and wait until it is ready."""
    from cco_migrate import commands

    return commands.gateway_start(session)


@task(*TARGET, *OUTPUT, name="stop")
def gateway_stop(session: Session, o: Namespace) -> Result:
    """Stop the gateway of the target after its streams have ended."""
    from cco_migrate import commands

    return commands.gateway_stop(session)


@task(*TARGET, *OUTPUT, name="reload")
def gateway_reload(session: Session, o: Namespace) -> Result:
    """Load the files as they are now; the socket stays open."""
    from cco_migrate import commands

    return commands.gateway_reload(session)


@task(*OUTPUT, "upstream", name="up", default=True)
def demo_up(session: Session, o: Namespace) -> Result:
    """Create and start the demo deployment in .cco-demo/."""
    from cco_migrate import commands

    _check_upstream(o)
    return commands.demo_up(session)


@task(*OUTPUT, name="down")
def demo_down(session: Session, o: Namespace) -> Result:
    """Stop the demo deployment."""
    from cco_migrate import commands

    return commands.demo_down(session)


@task("rounds")
def bench(session: Session, o: Namespace) -> Result:
    """Measure the main job: medians, never asserted in tests (checkout only)."""
    from cco_migrate import development

    return development.bench(o.rounds)


@task(name="check", default=True)
def dev_check(session: Session, o: Namespace) -> Result:
    """Check the project itself: format, lint, types, import contracts, tests (checkout only)."""
    from cco_migrate import development

    return development.check()


@task(name="style")
def dev_style(session: Session, o: Namespace) -> Result:
    """Check the project itself without its tests: format, lint, types, import contracts."""
    from cco_migrate import development

    return development.style()


def step_task(step_id: str, title: str) -> Any:  # Any: see task
    """Make the task of one step: it begins a run when none is open, and goes up to this step."""

    def act(session: Session, o: Namespace) -> Result:
        from cco_migrate import commands

        _check_upstream(o)
        return commands.migrate(session, _migrate_options(o, only=step_id))

    act.__doc__ = (
        f"Step {title}, by hand; the steps before it are done first when they are not yet."
    )
    return task(*APPLYING, name=step_id)(act)


STEPS = {
    "backup": "1 of 12: back up the configuration",
    "exists": "2 of 12: the configuration exists",
    "state": "3 of 12: show the current state",
    "fix": "4 of 12: add dashed twins (with --fix)",
    "enable": "4 of 12: enable overrides",
    "validate": "5 of 12: validate the configuration",
    "stop": "6 of 12: stop",
    "restart": "7 of 12: start, or replace the workers",
    "proof": "8 of 12: prove what is loaded",
    "traffic": "9 of 12: verification traffic",
    "counts": "10 of 12: statistics agree",
    "cost": "11 of 12: cost fell",
    "report": "12 of 12: write the report",
}


def namespace() -> Collection:
    """Return all tasks: verbs at the top, nouns as collections."""
    ns = Collection(migrate, plan, check, status, approve, codes, runbook, bench)
    ns.add_collection(Collection("rollback", rollback))
    ns.add_collection(Collection("report", report))
    ns.add_collection(Collection("backup", backups))
    ns.add_collection(Collection("gateway", gateway_start, gateway_stop, gateway_reload))
    ns.add_collection(Collection("dev", dev_check, dev_style))
    ns.add_collection(Collection("demo", demo_up, demo_down))
    ns.add_collection(Collection("step", *(step_task(*row) for row in STEPS.items())))
    return ns


class MigrateProgram(Program):
    """The console script: Invoke's program with our namespace, and usage errors as exit 64."""

    def parse_tasks(self) -> None:
        """Parse, and turn Invoke's terse parse errors into a usage message."""
        try:
            super().parse_tasks()
        except (ParseError, ValueError) as error:
            raise _usage(
                f"{error}\n  see: {self.binary} --list, {self.binary} TASK --help"
            ) from error


def main() -> None:
    """Run the console script `cco-migrate`."""
    program = MigrateProgram(
        version=cco_migrate.__version__,
        namespace=namespace(),
        name="cco-migrate",
        binary="cco-migrate",
    )
    program.run()


def _run(act: Act, context: Context, options: Namespace) -> None:
    # Invoke switches the bytecode cache off; without it every start would compile again
    sys.dont_write_bytecode = False
    as_json = bool(getattr(options, "json", False))
    try:
        _refuse_swallowed(options)
        _refuse_core_dry(context)
        session = _session(options)
        with session.out:
            result = act(session, options)
    except BaseException as error:  # told in words and a code, whatever it is
        raise _exit_of(error, options) from error
    text = _json(result.document) if as_json else result.text
    if text:
        print(_typed(text))
    if result.code:
        raise Exit(code=result.code)


def _exit_of(error: BaseException, options: Namespace) -> Exit:
    """Return the message and the code an error ends in; raises what is no error at all."""
    from cco_migrate.errors import Interrupted, ToolkitError

    document: dict[str, object] = {}
    if isinstance(error, ToolkitError):
        document, text, code = _error_document(error), _explained(error), error.code
    elif isinstance(error, Exit):
        text, code = str(error.message or ""), error.code
    elif isinstance(error, Interrupted):
        text = f"{error}; the run is open: a rerun goes on, `invoke rollback` undoes"
        code = error.code
    elif isinstance(error, KeyboardInterrupt):
        text, code = "stopped; nothing was in progress", 130
    elif isinstance(error, Exception) and not os.environ.get("CCO_MIGRATE_DEBUG"):
        text = f"unexpected: {type(error).__name__}: {error}\n  CCO_MIGRATE_DEBUG=1 shows where"
        code = 1
    else:
        raise error
    if getattr(options, "json", False):
        print(_typed(_json({"schema_version": 1, "error": text, "code": code, **document})))
    return Exit(_typed(_with_home(text, options)), code=code)


def _with_home(text: str, options: Namespace) -> str:
    """Add the state root to the commands a message names: without it they would mean the demo."""
    home = getattr(options, "home", "")
    if not home:
        return text
    return re.sub(r"\binvoke (?!\S+ --home)([a-z][\w.-]*)", rf"invoke \1 --home {home}", text)


def _program() -> str:
    """Return what the person typed: `invoke` in a checkout, or the console script anywhere."""
    return "cco-migrate" if Path(sys.argv[0]).name == "cco-migrate" else "invoke"


def _typed(text: str) -> str:
    from cco_migrate import progress

    return progress.typed(text, _program())


def _json(document: Mapping[str, object]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False, default=str)


def _refuse_core_dry(context: Context) -> None:
    """Invoke's own dry mode skips its `run` only: everything here would happen for real."""
    if context.config.run.dry:
        raise _usage("--dry (-R) is Invoke's own and would skip nothing here; use --dry-run")


def _refuse_swallowed(options: Namespace) -> None:
    """Invoke takes the next word as a value, flag or not: `--url --dry-run` would run for real."""
    for name, value in vars(options).items():
        if isinstance(value, str) and value.startswith("-"):
            raise _usage(
                f"--{name.replace('_', '-')} got {value!r} as its value; none begins with a dash"
            )


def _check_upstream(options: Namespace) -> None:
    if options.upstream == "anthropic":
        from cco_migrate.errors import InvalidInput

        raise InvalidInput(
            "--upstream anthropic: the gateway does not yet adapt requests to the target's "
            "capabilities (effort, thinking), so the real API would refuse some overridden "
            "requests; use --upstream demo"
        )
    if options.upstream != "demo":
        raise _usage(f"--upstream {options.upstream}: unknown; there is: demo")


def _usage(text: str) -> Exit:
    return Exit(f"{text}\n  nothing was done", code=64)


def _error_document(error: ToolkitError) -> dict[str, object]:
    return {
        "error": str(error),
        "state": error.state,
        "next": error.next_command,
        "findings": [str(finding) for finding in getattr(error, "findings", ())],
    }


def _explained(error: ToolkitError) -> str:
    lines = [str(error), *(f"  {finding}" for finding in getattr(error, "findings", ()))]
    if error.state:
        lines.append(f"  now:  {error.state}")
    if error.next_command:
        lines.append(f"  next: {error.next_command}")
    lines.append(f"  exit {error.code}: {CODES[error.code]}")
    return "\n".join(lines)


def _session(options: Namespace) -> Session:
    from cco_migrate import commands, progress, target

    where = target.Target(**{name: getattr(options, name, "") for name in TARGET})
    events = getattr(options, "events", "")
    out = progress.Output(
        quiet=bool(getattr(options, "quiet", False)),
        events=Path(events) if events else None,
        program=_program(),
    )
    return commands.Session(where, out)


def _migrate_options(options: Namespace, *, only: str = "") -> MigrateOptions:
    from cco_migrate import commands

    known = commands.MigrateOptions.__dataclass_fields__
    given = {name: value for name, value in vars(options).items() if name in known}
    wait = float(getattr(options, "lock_timeout", 0))
    return commands.MigrateOptions(**given, only=only, lock_timeout_s=wait)
