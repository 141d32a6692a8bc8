"""Checks on the configuration files: there, in what state, valid, and what git knows of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from cco_migrate.checks.configuration import (
    ConfigExists,
    ConfigValid,
    CurrentState,
    git_state,
    observed_models,
)
from cco_migrate.context import Context
from cco_migrate.model import JsonObject, Step
from cco_migrate.verdict import Judgement, Verdict

Reply = tuple[int, dict[str, str], bytes]
Serve = Callable[[Callable[[str, str, bytes], Reply]], str]

GOOD = b'[overrides]\nenabled = false\nrules = [["claude-sonnet-4-5", "claude-haiku-4-5"]]\n'


@pytest.fixture
def context(context_at: Callable[[str], Context], closed_port: int) -> Context:
    made = context_at(f"http://127.0.0.1:{closed_port}")
    made.instance.config.write_bytes(GOOD)
    return made


def step(context: Context) -> Step:
    return Step(2, "step", "step", "config.x", {"path": str(context.instance.config)})


def looked(check: ConfigExists | CurrentState | ConfigValid, context: Context) -> Judgement:
    facts: JsonObject = check.measure(step(context), check.prepare(step(context), context), context)
    return check.judge(step(context), facts)


def test_file_that_is_there_is_go(context: Context) -> None:
    judgement = looked(ConfigExists(), context)
    assert judgement.verdict is Verdict.GO
    assert f"{len(GOOD)} bytes, not in a git repository" in judgement.summary


def test_absent_file_is_no_go(context: Context) -> None:
    context.instance.config.unlink()
    judgement = looked(ConfigExists(), context)
    assert (judgement.verdict, "does not exist" in judgement.summary) == (Verdict.NO_GO, True)


def test_unwritable_directory_is_no_go(context: Context) -> None:
    facts = {"path": "/etc/cco/x.toml", "bytes": 3, "writable": False, "git": ""}
    judgement = ConfigExists().judge(step(context), facts)
    assert judgement.verdict is Verdict.NO_GO
    assert judgement.summary == "/etc/cco is not writable"


def with_gateway(context: Context, url: str) -> Context:
    return replace(context, instance=replace(context.instance, url=url))


@pytest.mark.parametrize(
    ("health", "said"),
    [
        ({"status": "ok", "overrides_enabled": True}, "running: overrides_enabled true"),
        ({"status": "ok"}, "running: overrides_enabled unknown"),
    ],
)
def test_state_shows_file_and_process(
    serve: Serve, context: Context, health: Mapping[str, object], said: str
) -> None:
    url = serve(lambda *_: (200, {}, json.dumps(health).encode()))
    judgement = looked(CurrentState(), with_gateway(context, url))
    assert judgement.verdict is Verdict.GO
    assert judgement.summary == f"file: enabled = false, 1 rules; {said}"


def test_state_of_a_gateway_that_does_not_answer_is_inconclusive(context: Context) -> None:
    judgement = looked(CurrentState(), context)
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "does not answer" in judgement.summary


def test_valid_files_are_go_with_their_fingerprint(context: Context) -> None:
    judgement = looked(ConfigValid(), context)
    assert judgement.verdict is Verdict.GO
    assert f"fingerprint {judgement.facts['fingerprint']}" in judgement.summary
    assert judgement.facts["observed"] is None


@pytest.mark.parametrize("name", ["model-overrides.toml", "my-overrides.toml"])
def test_errors_name_the_file_that_has_them(context: Context, name: str) -> None:
    path = context.instance.config.rename(context.instance.config.with_name(name))
    path.write_bytes(GOOD.replace(b"enabled", b"enabeld"))
    judgement = looked(
        ConfigValid(), replace(context, instance=replace(context.instance, config=path))
    )
    assert judgement.verdict is Verdict.NO_GO
    assert f"{path}:2" in judgement.summary


def test_observed_models_are_counted_by_what_was_asked_for(serve: Serve, context: Context) -> None:
    row = {
        "request_id": "a", "requested_model": "sonnet", "model": "haiku", "stream": False,
        "cost_usd": None, "input_tokens": 1, "output_tokens": 1, "cache_write_tokens": 0,
        "cache_read_tokens": 0,
    }  # fmt: skip
    body = json.dumps({"entries": [row, row]}).encode()
    client = with_gateway(context, serve(lambda *_: (200, {}, body))).gateway
    assert observed_models(client) == {"sonnet": 2}
    assert observed_models(context.gateway) is None


def git(directory: Path, *words: str) -> None:
    subprocess.run(
        ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *words],
        cwd=directory, check=True, capture_output=True,
    )  # fmt: skip


def test_git_state_follows_the_file(tmp_path: Path) -> None:
    path = tmp_path / "model-overrides.toml"
    path.write_bytes(GOOD)
    assert git_state(path) == "not in a git repository"
    git(tmp_path, "init", "-q")
    assert git_state(path) == "in a git repository without commits"
    (tmp_path / ".gitignore").write_text("ignored.toml\n")
    git(tmp_path, "add", ".gitignore")
    git(tmp_path, "commit", "-q", "-m", "first")
    assert git_state(path) == "not tracked by git"
    assert git_state(tmp_path / "ignored.toml") == "ignored by git"
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "second")
    assert git_state(path).startswith("tracked by git, as in ")
    path.write_bytes(b"changed")
    assert git_state(path).startswith("tracked by git, changed since ")
    path.unlink()
    assert "bring it back with: git checkout -- " in git_state(path)


@pytest.mark.parametrize(
    ("made", "said"), [(".git", "git is not installed"), ("git", "not in a git repository")]
)
def test_git_state_without_the_git_command_says_so(tmp_path: Path, made: str, said: str) -> None:
    (tmp_path / made).mkdir()
    code = (
        "import sys; from pathlib import Path; "
        "from cco_migrate.checks.configuration import git_state; "
        "print(git_state(Path(sys.argv[1])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "x.toml")],
        env={**os.environ, "PATH": str(tmp_path)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == said
