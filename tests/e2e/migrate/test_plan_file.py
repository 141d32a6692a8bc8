"""A plan is saved, looked at and carried out exactly once; it is refused when anything moved."""

from __future__ import annotations

import json
from typing import Any

import pytest


@pytest.fixture
def planned(demo: Any) -> Any:
    done = demo.run("plan", "--fix", "--out", "saved.json")
    assert done.code == 0, done.err
    assert "migrate --plan saved.json" in done.out
    return demo


def test_saved_plan_is_carried_out_once_and_can_be_shown_ever_after(planned: Any) -> None:
    before = planned.tree()
    done = planned.run("migrate", "--plan", "saved.json", "--yes")
    assert done.code == 0, done.err
    saved = json.loads((planned.path / "saved.json").read_bytes())["plan"]
    (run,) = (planned.home / "migrate" / "runs").iterdir()
    assert json.loads((run / "plan.json").read_bytes()) == saved
    report = (run / "report.md").read_text()
    assert "20 match a rule, 20 would be overridden" in report
    assert "What was forecast" in (run / "report.html").read_text()
    assert planned.run("rollback", "--yes").code == 0
    assert before.items() <= planned.tree().items()

    again = planned.run("migrate", "--plan", "saved.json", "--yes")
    assert again.code == 9
    assert f"it was carried out as run {run.name}" in again.err

    shown = planned.run("plan", "--plan", "saved.json", "--json", "--detailed-exitcode")
    assert shown.code == 2
    assert shown.document["stale"] == [f"it was carried out as run {run.name}"]
    assert shown.document["plan"] == saved


def test_plan_whose_file_was_edited_since_is_stale(planned: Any) -> None:
    planned.config.write_bytes(planned.config.read_bytes() + b"# somebody\n")
    before = planned.tree()
    done = planned.run("migrate", "--plan", "saved.json", "--yes")
    assert done.code == 9
    assert f"{planned.config} was changed" in done.err
    assert planned.tree() == before
    assert list((planned.home / "migrate" / "runs").glob("*")) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--fix",), "--fix: the plan in saved.json has decided that already"),
        (("--home", "elsewhere"), "name it with --home"),
        (("--plan", "nowhere.json"), "--plan nowhere.json: No such file"),
    ],
)
def test_plan_that_cannot_be_meant_is_refused(
    planned: Any, words: tuple[str, ...], said: str
) -> None:
    plan = () if "--plan" in words else ("--plan", "saved.json")
    done = planned.run("migrate", *plan, *words, "--yes")
    assert done.code == 8
    assert said in done.err


def test_plan_says_what_is_known_of_every_step(demo: Any) -> None:
    done = demo.run("plan", "--fix")
    assert done.code == 0
    for words in ("blast radius: 20 requests an hour", "verified: trial start", "goes on with:"):
        assert words in done.err
