"""The command line: names, exit codes, and the traps of the framework underneath."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from invoke.collection import Collection
from invoke.tasks import Task

from cco_migrate import cli, errors, options
from cco_migrate.program import MigrateProgram
from cco_migrate.tasks import steps

pytestmark = pytest.mark.process

ROOT = Path(cli.__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
INVOKE = (str(BIN / "invoke"), "-r", str(ROOT))
SCRIPT = (str(BIN / "cco-migrate"),)
BOTH = pytest.mark.parametrize("program", [INVOKE, SCRIPT], ids=["invoke", "cco-migrate"])
HEAVY = {
    "httpx",
    "rich",
    "jinja2",
    "jsonschema",
    "psutil",
    "git",
    "tomlkit",
    "msgspec",
    "pygal",
    "pytest",
}

Done = subprocess.CompletedProcess[str]


def run(program: Sequence[str], *words: str, home: Path) -> Done:
    """Run a program in an empty directory with a home of its own."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("CCO_", "INVOKE"))
    }
    return subprocess.run(
        [*program, *words], cwd=home, env={**environment, "HOME": str(home)},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def assert_nothing_done(home: Path) -> None:
    assert list(home.iterdir()) == []


TASKS = {
    "abort", "approve", "backup.list", "check", "codes", "demo.down", "demo.up", "gateway.reload",
    "gateway.start", "gateway.stop", "hold", "migrate", "plan", "release", "report.show",
    "rollback.run", "status", "takeover", "wait",
    *(f"step.{name}" for name in steps.STEPS),
}  # fmt: skip


def tasks_of(collection: Collection) -> Iterator[tuple[str, Task[Callable[..., Any]]]]:
    for name in collection.task_names:
        yield name, collection[name]


@pytest.mark.smoke
def test_task_names_are_the_documented_ones() -> None:
    names = {name for name, _ in tasks_of(cli.namespace())}
    assert names >= TASKS
    assert not [name for name in names if "_" in name]


@BOTH
def test_list_names_every_task(tmp_path: Path, program: Sequence[str]) -> None:
    done = run(program, "--list", "-F", "json", home=tmp_path)
    assert done.returncode == 0
    listed = json.loads(done.stdout)
    names = {task["name"] for task in listed["tasks"]}
    for collection in listed["collections"]:
        names |= {f"{collection['name']}.{task['name']}" for task in collection["tasks"]}
    assert names >= TASKS
    assert_nothing_done(tmp_path)


@BOTH
def test_list_imports_nothing_heavy(tmp_path: Path, program: Sequence[str]) -> None:
    timed = (sys.executable, "-X", "importtime", *program)
    done = run(timed, "--list", home=tmp_path)
    assert done.returncode == 0
    imported = {
        line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()
    }
    assert "invoke" in imported
    assert not imported & HEAVY


@pytest.mark.smoke
def test_no_task_takes_a_positional_or_a_guessed_short_flag() -> None:
    for name, task in tasks_of(cli.namespace()):
        assert list(task.positional) == [], name
        for argument in task.get_arguments():
            assert not argument.positional, (name, argument)
            assert not [flag for flag in argument.names if len(flag) == 1], (name, argument)


@pytest.mark.smoke
def test_every_task_and_option_says_what_it_is_for() -> None:
    for name, task in tasks_of(cli.namespace()):
        assert (task.__doc__ or "").strip(), name
        for argument in task.get_arguments():
            option = options.OPTIONS[str(argument.name).replace("-", "_")]
            assert option.help, (name, argument.name)


@pytest.mark.smoke
def test_every_error_has_an_exit_code_that_is_listed() -> None:
    kinds = [
        one for one in vars(errors).values()
        if isinstance(one, type) and issubclass(one, errors.ToolkitError)
    ]  # fmt: skip
    assert len(kinds) > 8
    assert {kind.code for kind in kinds} <= options.CODES.keys()


@pytest.mark.smoke
@BOTH
def test_codes_are_printed_as_json(tmp_path: Path, program: Sequence[str]) -> None:
    done = run(program, "codes", "--json", home=tmp_path)
    assert done.returncode == 0
    document = json.loads(done.stdout)
    assert document["schema_version"] == 1
    assert document["codes"] == {str(code): text for code, text in options.CODES.items()}


SWALLOWED = pytest.mark.parametrize(
    ("words", "core"),
    [
        (("migrate", "--url", "--dry-run"), False),
        (("migrate", "--yes", "--config", "--json"), False),
        (("rollback", "--run", "--yes"), False),
        (("approve", "--person", "--help"), True),
        (("migrate", "--config", "--dry"), True),
        (("migrate", "--url=--dry-run"), False),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)


@SWALLOWED
@BOTH
def test_flag_where_a_value_belongs_does_nothing(
    tmp_path: Path, program: Sequence[str], words: Sequence[str], core: bool
) -> None:
    """Invoke refuses flags of the task itself, with 1; its own flags it would take as the value."""
    done = run(program, *words, home=tmp_path)
    assert done.returncode == (1 if program is INVOKE and not core else 64)
    assert ("as its value" if core else "needed value") in done.stderr
    assert_nothing_done(tmp_path)


@pytest.mark.parametrize(
    "words",
    [
        ("migrat",),
        ("migrate", "--no-such-flag"),
        ("migrate", "positional"),
        ("step.fly",),
        ("migrate", "--requests", "x"),
        ("migrate", "--requests"),
        ("migrate", "--requests", "--dry-run"),
        ("migrate", "--yes=true"),
        ("migrate", "-y"),
        ("--no-such-core-flag",),
    ],
    ids=" ".join,
)
def test_usage_errors_exit_64_and_do_nothing(tmp_path: Path, words: Sequence[str]) -> None:
    done = run(SCRIPT, *words, home=tmp_path)
    assert done.returncode == 64
    assert "nothing was done" in done.stderr
    assert "Traceback" not in done.stderr
    assert_nothing_done(tmp_path)


@BOTH
def test_word_where_a_number_belongs_is_told_without_a_traceback(
    tmp_path: Path, program: Sequence[str]
) -> None:
    done = run(program, "backup.prune", "--keep-days", "x", home=tmp_path)
    assert done.returncode == 64
    assert done.stderr.startswith("--keep-days x: write a whole number")
    assert "Traceback" not in done.stderr
    assert_nothing_done(tmp_path)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-T", "x", "status"), "--command-timeout x: write a whole number"),
        (("status", "-T", "x"), "--command-timeout x: write a whole number"),
        (("--list-depth", "x", "--list"), "--list-depth x: write a whole number"),
        (("--list-format", "xml", "--list"), "--list-format xml: unknown; there is: flat, nested"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
@BOTH
def test_wrong_value_of_the_frameworks_own_option_is_told_without_a_traceback(
    tmp_path: Path, program: Sequence[str], words: Sequence[str], said: str
) -> None:
    if program is INVOKE and words[0] in {"-T", "--list-depth"}:
        # Such an option before the task is read before our code is loaded: Invoke answers.
        words = ("status", *words[:2])
    done = run(program, *words, home=tmp_path)
    assert done.returncode == 64
    assert done.stderr.startswith(said)
    assert "Traceback" not in done.stderr
    assert_nothing_done(tmp_path)


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("migrat",), " Did you mean migrate?"),
        (("status", "--quiet", "rolback"), " Did you mean rollback or rollback.run?"),
        (("--help", "gateway.relaod"), " Did you mean gateway.reload?"),
        (("migrate", "--dryrun"), " Did you mean --dry-run?"),
        (("lunch",), ""),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
@BOTH
def test_what_nobody_knows_is_told_with_what_is_nearest(
    tmp_path: Path, program: Sequence[str], words: Sequence[str], meant: str
) -> None:
    done = run(program, *words, home=tmp_path)
    name = Path(program[0]).name
    assert done.returncode == (1 if program is INVOKE else 64)
    assert done.stderr.splitlines() == [
        f"No idea what '{words[-1]}' is!{meant}",
        f"  see: {name} --list, {name} --help TASK",
        "  nothing was done",
    ]
    assert_nothing_done(tmp_path)


@pytest.mark.parametrize("option", ["--home", "--config", "--run", "--keep"])
@pytest.mark.parametrize("form", ["apart", "together"])
def test_empty_value_is_not_taken_for_an_option_left_out(
    tmp_path: Path, option: str, form: str
) -> None:
    """`--home "$STATE"` with a variable that is not set: without it the demo would be meant."""
    task = {"--run": "rollback", "--keep": "backup.prune"}.get(option, "migrate")
    done = run(SCRIPT, task, *((option, "") if form == "apart" else (f"{option}=",)), "--yes",
               home=tmp_path)  # fmt: skip
    assert done.returncode == 64
    assert done.stderr.startswith(f"{option} is empty")
    assert "nothing was done" in done.stderr
    assert_nothing_done(tmp_path)


@BOTH
def test_commands_a_result_names_are_about_the_same_deployment(
    tmp_path: Path, program: Sequence[str]
) -> None:
    done = run(program, "status", "--home", ".", home=tmp_path)
    name = Path(program[0]).name
    assert done.stdout.strip().endswith(f"begin with: {name} migrate --home {tmp_path.resolve()}")


@pytest.mark.smoke
def test_refusal_is_one_json_document_when_asked_for(tmp_path: Path) -> None:
    done = run(SCRIPT, "migrate", "--config", "absent.toml", "--json", home=tmp_path)
    document = json.loads(done.stdout)
    assert (done.returncode, document["code"], document["schema_version"]) == (8, 8, 1)
    assert document["state"] == "Nothing was changed."


def test_next_command_in_json_is_about_the_same_deployment(tmp_path: Path) -> None:
    done = run(SCRIPT, "report", "--home", ".", "--json", home=tmp_path)
    assert json.loads(done.stdout)["next"] == f"cco-migrate migrate --home {tmp_path.resolve()}"


@BOTH
@pytest.mark.parametrize("flag", ["-R", "--dry"])
def test_dry_mode_of_the_framework_is_refused(
    tmp_path: Path, program: Sequence[str], flag: str
) -> None:
    done = run(program, flag, "migrate", "--yes", home=tmp_path)
    assert done.returncode == 64
    assert "use --dry-run" in done.stderr
    assert_nothing_done(tmp_path)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("status", "--home", "."), 0, "no run yet"),
        (("rollback", "--home", ".", "--by", "magic"), 8, "--by magic: unknown"),
        (("rollback", "--home", "."), 8, "there is no run"),
        (("rollback", "--home", ".", "--run", "mo-0"), 8, "there is no run"),
        (("rollback", "--home", ".", "--by", "git"), 8, "there is no run"),
        (("rollback",), 8, "there is no run"),
        (("report", "--home", "."), 8, "there is no run"),
        (("hold", "--home", "."), 8, "there is no run"),
        (("abort", "--home", "."), 8, "there is no run"),
        (("wait", "--home", ".", "--for", "lunch"), 8, "--for lunch: unknown"),
        (("takeover", "--home", "."), 0, "the lock is free"),
        (("approve", "--home", "."), 8, "is empty: whose word is it?"),
        (("approve", "--home", ".", "--person", "Kim"), 8, "there is no run"),
        (("backup.prune", "--home", "."), 0, "nothing to prune"),
        (("backup.restore", "--home", ".", "--id", "x"), 8, "there is no backup x"),
        (("plan", "--url", "http://127.0.0.1:3000/v1"), 8, "leave out /v1"),
        (("check", "--driver", "docker"), 8, "--driver docker: unknown"),
        (("gateway.stop",), 8, "there is no demo deployment here"),
        (("demo.down",), 0, "no demo here"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_command_ends_with_its_documented_code(
    tmp_path: Path, words: Sequence[str], code: int, said: str
) -> None:
    done = run(SCRIPT, *words, home=tmp_path)
    assert done.returncode == code
    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert_nothing_done(tmp_path)


@pytest.mark.parametrize(
    "name", sorted(name for name, task in tasks_of(cli.namespace()) if "home" in
                   {argument.name for argument in task.get_arguments()}),
)  # fmt: skip
def test_state_root_that_is_not_there_is_refused_by_every_task(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    program = MigrateProgram(namespace=cli.namespace())
    with pytest.raises(SystemExit) as ended:
        program.run(["cco-migrate", name, "--home", "slip", "--json"])
    said = json.loads(capsys.readouterr().out)
    assert (ended.value.code, said["code"]) == (8, 8)
    assert said["error"] == "--home slip: there is no such folder"
    assert (said["state"], bool(said["next"])) == ("Nothing was changed.", True)
    assert_nothing_done(tmp_path)


@pytest.mark.parametrize(
    ("words", "refused"),
    [
        (["status", "--json"], True),
        (["report.verify", "--dir", ".", "--json"], False),
        (["approve", "--gate", "complaints", "--out", "said.json", "--json"], False),
    ],
)
def test_what_needs_no_state_root_takes_one_that_is_not_there_yet_from_the_environment(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    refused: bool,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CCO_HOME", "later")
    with pytest.raises(SystemExit):
        MigrateProgram(namespace=cli.namespace()).run(["cco-migrate", *words])
    said = json.loads(capsys.readouterr().out)["error"]
    assert (said == "$CCO_HOME later: there is no such folder") is refused
    assert_nothing_done(tmp_path)


def test_help_of_a_task_names_its_options(tmp_path: Path) -> None:
    done = run(SCRIPT, "--help", "migrate", home=tmp_path)
    assert done.returncode == 0
    assert "--dry-run" in done.stdout


def test_version_is_the_packages(tmp_path: Path) -> None:
    assert run(SCRIPT, "--version", home=tmp_path).stdout.strip().startswith("cco-migrate 0.")
