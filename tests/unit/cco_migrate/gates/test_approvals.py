"""What `approve --out` writes is what `gate --approvals` reads."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from cco_migrate.commands import gates
from cco_migrate.errors import InvalidInput
from cco_migrate.gates.approvals import ATTESTED, COUNTED, approval_line, read_approvals
from cco_migrate.gates.order import make_order
from cco_migrate.progress import Output
from cco_migrate.session import Result, Session
from cco_migrate.target import Target
from cco_migrate.verdict import Verdict
from cco_migrate.world import Clock, Files, World

Scene = Any  # Any: the fixture of conftest.py, which cannot be imported
SCOPE = "phase-2:c7d2c7d2c7d2c7d2"


class Fixed(Clock):
    """A clock that stands at one time."""

    def __init__(self, at: datetime) -> None:
        self._at = at

    def now(self) -> datetime:
        return self._at


@pytest.fixture
def session(scene: Scene, world: World) -> Session:
    return Session(Target(), Output(quiet=True), replace(world, clock=Fixed(scene.now)))


def approve(session: Session, path: Path, **change: str) -> Result:
    typed = {"gate": "team-approval", "by_": "Ada", "scope": SCOPE, "expires": "24h"}
    typed |= {"count": "", "of": "", "out": str(path)}
    return gates.approve(session, Namespace(**{**typed, **change}))


def figures(name: str) -> dict[str, str]:
    """What has to be typed with a word about a criterion, beside the word."""
    return {"count": "3", "of": "40"} if name in COUNTED else {}


def test_words_that_were_approved_make_the_gate_go(
    scene: Scene, session: Session, tmp_path: Path
) -> None:
    path = tmp_path / "approvals.jsonl"
    for name in ATTESTED:
        said = approve(session, path, gate=name, **figures(name))
        told = "3 of 40 counted" if name in COUNTED else "approved"
        assert f"{name} {told} by Ada for {SCOPE}, until 2026-01-21T12:00:00" in said.text
    assert path.stat().st_mode & 0o777 == 0o600
    options = replace(scene.options, phase=2, approvals=str(path))
    order = replace(scene.order(phase=2), approvals=make_order(options, Files()).approvals)
    rows = scene.rows(order, scene.healthy(scene.glances(10)))
    verdicts = {name: rows[name].ruling.verdict for name in ATTESTED if name in rows}
    assert verdicts.pop("complaints") is Verdict.INCONCLUSIVE  # silence is no praise
    assert verdicts == dict.fromkeys(verdicts, Verdict.GO)
    assert len(verdicts) == 5


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"gate": "lunch"}, "--gate lunch: unknown; there is: critical-bugs, team-approval"),
        ({"gate": "error-rate"}, "unknown"),
        ({"scope": "change 4711"}, "no gate asks for it; write phase-N:FINGERPRINT"),
        ({"scope": "phase-4:c7d2"}, "no gate asks for it"),
        ({"by_": " ", "expires": ""}, "needs --by, --expires"),
        ({"gate": "complaints"}, "--gate complaints: say how many, of how many active users"),
        ({"gate": "complaints", "count": "3"}, "write two whole numbers"),
        ({"gate": "complaints", "count": "41", "of": "40"}, "41 of 40 cannot be"),
        ({"gate": "complaints", "count": "0", "of": "0"}, "0 of 0 cannot be"),
        ({"count": "1", "of": "2"}, "it takes a word, no figures"),
        ({"expires": "2020-01-01T00:00:00Z"}, "is over"),
        ({"out": "nowhere/approvals.jsonl"}, "the approval was not recorded"),
    ],
)
def test_word_that_no_gate_would_read_is_not_written(
    session: Session, tmp_path: Path, change: Mapping[str, str], said: str
) -> None:
    path = tmp_path / "approvals.jsonl"
    with pytest.raises(InvalidInput, match=said):
        approve(session, path, **change)
    assert not path.exists()


def test_file_of_anything_else_is_left_alone(session: Session, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("my notes\n")
    with pytest.raises(InvalidInput, match=r"notes\.txt:1"):
        approve(session, path)
    assert path.read_text() == "my notes\n"


def test_line_without_its_newline_stays_a_line(session: Session, tmp_path: Path) -> None:
    path = tmp_path / "approvals.jsonl"
    approve(session, path)
    path.write_text(path.read_text().rstrip())  # as an editor may leave it
    approve(session, path, by_="Kim")
    words = read_approvals(path.read_bytes(), path)["team-approval"]
    assert [one.by for one in words] == ["Ada", "Kim"]


def test_figures_come_back_as_they_were(scene: Scene, tmp_path: Path) -> None:
    word = scene.approval(SCOPE, counted=(3, 40))
    line = approval_line("complaints", word)
    assert read_approvals(line, tmp_path / "a") == {"complaints": (word,)}
    with pytest.raises(InvalidInput, match="a:1: team-approval: it takes a word, no figures"):
        read_approvals(line.replace(b"complaints", b"team-approval"), tmp_path / "a")


@pytest.mark.parametrize("approves", [True, False])
def test_every_word_comes_back_as_it_was(scene: Scene, tmp_path: Path, approves: bool) -> None:
    word = scene.approval(SCOPE, approves=approves)
    line = approval_line("user-feedback", word)
    assert read_approvals(line, tmp_path / "a") == {"user-feedback": (word,)}
    assert json.loads(line)["criterion"] == "user-feedback"
