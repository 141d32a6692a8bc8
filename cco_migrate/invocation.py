"""How a function becomes an Invoke task: options in, result or error out, as text and exit code.

Only Invoke and the standard library are imported here, so that `--list` stays fast.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping
from inspect import Parameter, Signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoke.exceptions import Exit
from invoke.parser.argument import Argument
from invoke.tasks import Task

from cco_migrate.options import CODES, OPTIONS, TARGET

if TYPE_CHECKING:
    from invoke.context import Context

    from cco_migrate.errors import ToolkitError
    from cco_migrate.session import Result, Session
    from cco_migrate.target import Target

_COMMAND = re.compile(r"\binvoke (?!\S+ --home)([a-z][\w.-]*)")

_STANDING = "\n  now:  nothing more was done than the journal says\n  next: invoke status"

_FOUNDING = ("config", "plan", "archive")
"""Options that tell of a deployment without its state root, which may then be a new one."""

_ELSEWHERE = (*_FOUNDING, "dir", "fingerprint", "proxy", "out")
"""Options with which a task may need nothing of the state root that the environment names."""

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
        helps = {o.strip("_").replace("_", "-"): OPTIONS[o].help for o in options}
        return _Task(
            body,
            name=name or act.__name__,
            positional=(),
            default=default,
            auto_shortflags=False,
            help=helps,
        )

    return decorate


class _Task(Task[Any]):
    """A task that is its own copy: nobody changes one, and Invoke copies them all for `--list`."""

    def __deepcopy__(self, memo: object) -> _Task:
        return self

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """Return the options, which tell what is wrong with a value."""
        return telling(super().get_arguments(ignore_unknown_help))


class _Argument(Argument):
    """An option that is not empty, and of a word where a number belongs makes no traceback."""

    def set_value(self, value: Any, cast: bool = True) -> None:  # Any: see Argument
        """Take what was typed; raises Exit when it is empty, or no number and should be one."""
        option = str(self.name).replace("_", "-")
        if value == "":  # of a shell variable nobody set: it would mean the default, the demo
            raise usage(f"--{option} is empty: write a value, or leave the option out")
        try:
            super().set_value(value, cast)
        except ValueError as error:
            raise usage(f"--{option} {value}: write a whole number\n  see: --help") from error


def telling(options: list[Argument]) -> list[Argument]:
    """Return options of Invoke's as ones that tell what is wrong with a value."""
    for one in options:
        one.__class__ = _Argument
    return options


def usage(text: str) -> Exit:
    """Return the error of a command that was typed wrongly; nothing was done."""
    return Exit(f"{text}\n  nothing was done", code=64)


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
    text = _json(result.document) if as_json else _with_home(result.text, options)
    if text:
        print(_typed(text))
    if result.code:
        raise Exit(code=result.code)


def _exit_of(error: BaseException, options: Namespace) -> Exit:
    """Return the message and the code an error ends in; raises what is no error at all."""
    from cco_migrate.errors import Interrupted, ToolkitError

    document: dict[str, object] = {}
    standing = _STANDING if hasattr(options, "home") else ""  # without one there is no journal
    if isinstance(error, ToolkitError):
        document, text, code = _error_document(error, options), _explained(error), error.code
    elif isinstance(error, Exit):
        text, code = str(error.message or ""), error.code
    elif isinstance(error, Interrupted):
        text = f"{error}; a rerun goes on; `invoke status` says what is open and what undoes it"
        code = error.code
    elif isinstance(error, KeyboardInterrupt):
        text, code = "stopped; nothing was in progress", 130
    elif isinstance(error, OSError) and error.strerror:  # a full disk, a right that was taken away
        text, code = f"{error.filename or 'a file'}: {error.strerror}{standing}", 1
    elif isinstance(error, Exception) and not os.environ.get("CCO_MIGRATE_DEBUG"):
        text = f"unexpected: {type(error).__name__}: {error}{standing}"
        text += "\n  CCO_MIGRATE_DEBUG=1 shows where"
        code = 1
    else:
        raise error
    text = _with_home(text, options)
    if getattr(options, "json", False):
        print(_typed(_json({"schema_version": 1, "error": text, "code": code, **document})))
    return Exit(_typed(text), code=code)


def _target(options: Namespace) -> Target:
    from cco_migrate.target import Target

    return Target(**{name: getattr(options, name, "") for name in TARGET})


def _session(options: Namespace) -> Session:
    from cco_migrate import progress, target
    from cco_migrate.session import Session

    where = _target(options)
    known = _FOUNDING if where.home else _ELSEWHERE
    if hasattr(options, "home") and not any(getattr(options, name, "") for name in known):
        target.refuse_missing_home(where, os.environ)
    events = getattr(options, "events", "")
    out = progress.Output(
        quiet=bool(getattr(options, "quiet", False)),
        events=Path(events) if events else None,
        program=_program(),
    )
    return Session(where, out)


def _explained(error: ToolkitError) -> str:
    lines = [str(error), *(f"  {finding}" for finding in getattr(error, "findings", ()))]
    if error.state:
        lines.append(f"  now:  {error.state}")
    if error.next_command:
        lines.append(f"  next: {error.next_command}")
    lines.append(f"  exit {error.code}: {CODES[error.code]}")
    return "\n".join(lines)


def _error_document(error: ToolkitError, options: Namespace) -> dict[str, object]:
    return {
        "error": str(error),
        "state": error.state,
        "next": error.next_command and _with_home(error.next_command, options),
        "findings": [str(finding) for finding in getattr(error, "findings", ())],
    }


def _with_home(text: str, options: Namespace) -> str:
    """Add the state root to the commands a message names: without it they would mean the demo."""
    from cco_migrate import target, world

    where = _target(options)
    if not hasattr(options, "home") or where.is_demo(os.environ):
        return text
    home = shlex.quote(str(target.home_of(where, os.environ, world.World.real())))
    return _COMMAND.sub(rf"invoke \1 --home {home}", text)


def _refuse_swallowed(options: Namespace) -> None:
    """Invoke takes the next word as a value, flag or not: `--url --dry-run` would run for real."""
    for name, value in vars(options).items():
        if isinstance(value, str) and value.startswith("-"):
            raise usage(
                f"--{name.replace('_', '-')} got {value!r} as its value; none begins with a dash"
            )


def _refuse_core_dry(context: Context) -> None:
    """Invoke's own dry mode skips its `run` only: everything here would happen for real."""
    if context.config.run.dry:
        raise usage("--dry (-R) is Invoke's own and would skip nothing here; use --dry-run")


def _typed(text: str) -> str:
    from cco_migrate import progress

    return progress.typed(text, _program())


def _program() -> str:
    """Return what the person typed: `invoke` in a checkout, or the console script anywhere."""
    return "cco-migrate" if Path(sys.argv[0]).name == "cco-migrate" else "invoke"


def _json(document: Mapping[str, object]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False, default=str)
