"""Evidence from run to run: nothing is lost to a kill, nothing of another order is gone on with."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cco_migrate.errors import InvalidInput
from cco_migrate.gates.evidence_file import open_evidence
from cco_migrate.gates.kept import Kept, Run
from cco_migrate.gates.order import Order
from cco_migrate.probes.footprint import Footprint
from cco_migrate.probes.glances import Glance
from cco_migrate.probes.tallies import FIGURES
from cco_migrate.verdict import Verdict
from cco_migrate.world import Files, World

Scene = Any  # Any: the fixture of conftest.py, which cannot be imported


@pytest.fixture
def world() -> Iterator[World]:
    world = World.real()
    yield world
    world.http.close()


@pytest.fixture
def kept_order(scene: Scene, tmp_path: Path) -> Order:
    order: Order = scene.order(evidence=str(tmp_path / "evidence.jsonl"))
    return order


def path_of(order: Order) -> Path:
    assert order.evidence is not None
    return order.evidence


def test_samples_come_back_as_they_were(scene: Scene, kept_order: Order, world: World) -> None:
    figures = {"requests": 7.0, "overhead_s": 0.25}
    samples = (
        Glance(1_700_000_000.125, up=True, tally=scene.tally("b0", figures)),
        Glance(1_700_000_001.0, up=False),
        Glance(1_700_000_002.0, up=True, ours=True, footprint=Footprint(5, 6)),
    )
    run = scene.run(found={"audit-complete": "1 not recorded"})
    evidence = open_evidence(kept_order, world)
    for sample in (*samples, run):
        evidence.add(sample)
    again = open_evidence(kept_order, world)
    assert again.kept == evidence.kept == Kept(samples, (run,))
    assert path_of(kept_order).stat().st_mode & 0o777 == 0o600
    header, *rows = [json.loads(line) for line in path_of(kept_order).read_bytes().splitlines()]
    assert header["begin"]["figures"] == list(FIGURES)
    assert all("at" in row for row in rows)


@pytest.mark.parametrize("cut", range(1, 40, 7))
def test_sample_that_a_kill_tore_is_left_out_and_written_over(
    kept_order: Order, world: World, cut: int
) -> None:
    evidence = open_evidence(kept_order, world)
    evidence.add(Glance(1.0, up=True))
    evidence.add(Glance(2.0, up=True))
    path = path_of(kept_order)
    os.truncate(path, path.stat().st_size - cut)
    again = open_evidence(kept_order, world)
    assert again.kept.glances == (Glance(1.0, up=True),)
    again.add(Glance(3.0, up=False))
    assert open_evidence(kept_order, world).kept.glances[1] == Glance(3.0, up=False)


class Killed(Files):
    """Is killed in the middle of whatever it writes for good."""

    def append(self, path: Path, data: bytes) -> None:
        super().append(path, data[: len(data) // 2])
        raise KeyboardInterrupt

    def replace(self, path: Path, data: bytes, *, mode: int | None = None) -> None:
        path.with_name(f".{path.name}.1.new").write_bytes(data[: len(data) // 2])
        raise KeyboardInterrupt


def test_file_that_a_kill_left_before_its_first_line_is_begun_anew(
    kept_order: Order, world: World
) -> None:
    with pytest.raises(KeyboardInterrupt):
        open_evidence(kept_order, replace(world, files=Killed()))
    open_evidence(kept_order, world).add(Glance(1.0, up=True))
    assert open_evidence(kept_order, world).kept.glances == (Glance(1.0, up=True),)


def test_samples_are_in_order_though_the_clock_was_set_back(
    kept_order: Order, world: World
) -> None:
    evidence = open_evidence(kept_order, world)
    for at_s in (5.0, 2.0, 9.0):
        evidence.add(Glance(at_s, up=True))
    assert [one.at_s for one in open_evidence(kept_order, world).kept.glances] == [2.0, 5.0, 9.0]


@pytest.mark.parametrize(
    "change",
    [{"phase": 2}, {"fingerprint": "0ld0"}, {"every": 31}, {"url": "http://other:1"},
     {"model": "m2"}],
)  # fmt: skip
def test_evidence_of_another_order_is_refused(
    scene: Scene, kept_order: Order, world: World, change: dict[str, Any]
) -> None:
    open_evidence(kept_order, world)
    before = path_of(kept_order).read_bytes()
    other = scene.order(evidence=str(kept_order.evidence), **change)
    with pytest.raises(InvalidInput, match="frozen before the first sample"):
        open_evidence(other, world)
    assert path_of(kept_order).read_bytes() == before


def test_changed_criteria_are_another_order(scene: Scene, kept_order: Order, world: World) -> None:
    open_evidence(kept_order, world)
    first = replace(kept_order.criteria[0], staleness_s=61)
    changed = replace(kept_order, criteria=(first, *kept_order.criteria[1:]))
    with pytest.raises(InvalidInput, match="other criteria"):
        open_evidence(changed, world)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"hello\n", ":2: no sample"),
        (b'{"at":"yesterday","up":true}\n', ":2: no sample"),
        (b'{"at":"2026-01-01T00:00:00Z","up":"yes"}\n', ":2: no sample"),
        (b'{"at":"2026-01-01T00:00:00Z","up":true,"boots":[],"figures":[1]}\n', ":2: no sample"),
        (b'{"at":"2026-01-01T00:00:00Z","streams":1,"broken":2}\n', ":2: no sample"),
    ],
)
def test_broken_line_is_named_and_nothing_is_judged(
    kept_order: Order, world: World, line: bytes, said: str
) -> None:
    open_evidence(kept_order, world)
    with path_of(kept_order).open("ab") as file:
        file.write(line)
    with pytest.raises(InvalidInput, match=said):
        open_evidence(kept_order, world)


@pytest.mark.parametrize("text", ["my notes\n", "my notes", "\n", '{"v": 1}\n'])
def test_file_that_is_no_evidence_is_left_alone(kept_order: Order, world: World, text: str) -> None:
    path_of(kept_order).write_text(text)
    with pytest.raises(InvalidInput, match="no evidence of a gate"):
        open_evidence(kept_order, world)
    assert path_of(kept_order).read_text() == text


def test_streams_of_sound_earlier_runs_count_and_others_do_not(
    scene: Scene, kept_order: Order
) -> None:
    few = replace(scene.healthy(), sent=tuple(scene.sent(number) for number in range(20)))
    for runs, verdict in (
        ((), Verdict.INCONCLUSIVE),
        ((scene.run(streams=23),), Verdict.GO),
        ((scene.run(streams=23, sound=False),), Verdict.INCONCLUSIVE),
        ((scene.run(streams=100, broken=60),), Verdict.NO_GO),
    ):
        measured = replace(few, kept=Kept((), runs))
        row = scene.rows(kept_order, measured)["stream-conformance"]
        assert row.ruling.verdict is verdict, row.text


def test_lost_record_of_an_earlier_run_stays_lost(scene: Scene, kept_order: Order) -> None:
    lost: Run = scene.run(found={"audit-complete": "audit-complete: 1 not recorded"})
    judged = scene.judged(kept_order, replace(scene.healthy(), kept=Kept((), (lost,))))
    assert judged.verdict is Verdict.NO_GO
    assert "1 not recorded (run of 2026-01-20T11:00:00.000Z)" in judged.rows[-1].text
