"""A run that soaks more than once, as the stages of a canary do: each soak has its own evidence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cco_migrate.soak.check import standing
from cco_migrate.soak.log import FILENAME, STEP, filename
from cco_migrate.verdict import Verdict
from tests.unit.cco_migrate.soak.scene import Bench


def test_soaks_of_one_run_share_no_evidence(bench: Bench) -> None:
    bench.clock.every_minute = lambda _: bench.gateway.serve(10)
    stage = replace(bench, step=replace(bench.step, id="canary-5", title="canary of 5 %"))
    first = stage.soak()
    kept = (bench.context.run_dir / "samples-canary-5.jsonl").read_bytes()
    assert not bench.path.exists()
    second = bench.soak()
    assert (first.verdict, second.verdict) == (Verdict.GO, Verdict.GO)
    assert (bench.context.run_dir / "samples-canary-5.jsonl").read_bytes() == kept
    told: list[Any] = [judged.facts["samples"] for judged in (first, second)]  # Any: JSON
    files = [one["file"] for one in told]
    assert files == ["samples-canary-5.jsonl", FILENAME]
    for step, judged in ((stage.step, first), (bench.step, second)):
        head, *_ = standing(step, bench.context.run_dir, bench.context.world)
        assert head == f"{step.title}: {judged.facts['looks']} looks, ended with GO"


def test_soak_of_the_whole_change_keeps_its_name() -> None:
    assert filename(STEP) == FILENAME
