"""What a person sees: one line a step, a heartbeat while something is awaited, events in a file."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest

from cco_migrate.errors import InvalidInput
from cco_migrate.model import Step
from cco_migrate.progress import Output, typed
from cco_migrate.views import PlainView, line_of
from cco_migrate.world import World

STEP = Step(7, "restart", "restart", "service.replace")


@pytest.mark.parametrize(
    ("step", "verdict", "line"),
    [
        (STEP, "ok", "  7/12 restart                0.6 s  ready"),
        (STEP, "GO", "  7/12 restart                0.6 s  ready"),
        (STEP, "NO-GO", "  7/12 restart                0.6 s  NO-GO: ready"),
        (STEP, "failed", "  7/12 restart                0.6 s  failed: ready"),
        (STEP, "kept", "  7/12 restart                0.6 s  done before: ready"),
        (
            Step(0, "back", "proof", "x"),
            "undone",
            "  back proof                  0.6 s  undone: ready",
        ),
    ],
)
def test_line_says_place_title_time_and_what_was_seen(step: Step, verdict: str, line: str) -> None:
    assert line_of(step, verdict, "ready", 0.6) == line


def test_heartbeat_names_what_is_awaited_and_what_unblocks_it(world: World) -> None:
    out = io.StringIO()
    view = PlainView(out, unblock="cco-migrate status", heartbeat_s=0.01)
    try:
        view.step_begins(STEP)
        view.waiting("the new workers", 60)
        assert world.clock.wait_until(lambda: "cco-migrate status" in out.getvalue(), 60)
        said = r"waiting for the new workers: \d+ s so far, 60 s at most"
        assert re.search(said, out.getvalue())
        view.step_ends(STEP, verdict="ok", summary="ready", seconds=1)
    finally:
        view.close()


def test_heartbeat_counts_from_when_a_wait_was_told_first_and_shows_how_far_it_is(
    world: World,
) -> None:
    out = io.StringIO()
    view = PlainView(out, heartbeat_s=0.01)
    try:
        view.waiting("the bake time\nINCONCLUSIVE error-rate 0/10", 60)
        assert world.clock.wait_until(lambda: "error-rate 0/10" in out.getvalue(), 60)
        assert world.clock.wait_until(
            lambda: bool(re.search(r": [1-9]\d* s so far", out.getvalue())), 60
        )
        view.waiting("the bake time\nGO error-rate 0/4512", 60)
        assert world.clock.wait_until(lambda: "GO error-rate 0/4512" in out.getvalue(), 60)
    finally:
        view.close()
    lines = out.getvalue().splitlines()
    last = next(n for n, line in enumerate(lines) if "0/4512" in line)
    assert "waiting for the bake time: " in lines[last - 1]
    assert ": 0 s so far" not in lines[last - 1]


def test_commands_are_told_as_they_are_typed() -> None:
    text = "undo: invoke rollback --run x, or `invoke status`; it invokes nothing"
    assert typed(text, "invoke") == text
    assert typed(text, "cco-migrate") == (
        "undo: cco-migrate rollback --run x, or `cco-migrate status`; it invokes nothing"
    )


def test_events_are_appended_one_object_a_line(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text('{"earlier": true}\n')
    with Output(quiet=True, events=path) as out:
        out.run = "mo-1"
        out.step_begins(STEP)
        out.waiting("something", 5)
        out.step_ends(STEP, verdict="GO", summary="ready", seconds=0.5)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert rows[0] == {"earlier": True}
    assert [(row["step"], row["state"], row["run"]) for row in rows[1:]] == [
        ("restart", "begins", "mo-1"),
        ("restart", "GO", "mo-1"),
    ]
    assert {"ts", "mono_ms", "number", "reason", "seconds"} <= rows[2].keys()


def test_events_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="--events"):
        Output(quiet=True, events=tmp_path / "no" / "such" / "folder")
