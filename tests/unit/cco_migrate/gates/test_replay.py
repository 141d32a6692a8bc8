"""Whatever was kept: looking at it again, or twice, turns nothing that is undecided into GO."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from cco_migrate.gates.evidence_file import open_evidence
from cco_migrate.gates.kept import Run
from cco_migrate.gates.measured import Measured
from cco_migrate.gates.order import Order
from cco_migrate.model import canonical
from cco_migrate.probes.glances import Glance
from cco_migrate.probes.windows import window_of
from cco_migrate.verdict import Verdict
from cco_migrate.world import World

Scene = Any  # Any: the fixture of conftest.py, which cannot be imported

HISTORIES = 60
# Bounds that an hour may decide either way: else every history would be undecided.
WITHIN_REACH = {
    "error-rate": {"go": 0.05, "no_go": 0.05},
    "availability": {"go": 0.2, "no_go": 0.2, "minimum_samples": 3, "window_s": 600},
    "latency-average": {"minimum_samples": 3},
}


class History:
    """One random past of a gateway, and what a run found at its end."""

    def __init__(self, scene: Scene, seed: int) -> None:
        self._scene, self._random = scene, random.Random(seed)
        self.minutes = self._random.randrange(2, 45)

    def measured(self) -> Measured:
        """What the run at its end measured: some streams, or none."""
        whole: Measured = self._scene.healthy()
        assert isinstance(whole.records, tuple)
        streams = self._random.randrange(0, self._scene.streams)
        return replace(
            whole, sent=whole.sent[:streams], records=whole.records[:streams],
            unsent="" if streams else "nothing was asked for",
        )  # fmt: skip

    @property
    def glances(self) -> Sequence[Glance]:
        """Looks at a gateway that fails now and then, is away or restarts."""
        draw, boot = self._random, 0
        counts = {"requests": 0.0, "failed": 0.0, "streams": 0.0, "overhead_s": 0.0,
                  "overheads": 0.0}  # fmt: skip
        found = []
        for number in range(self.minutes):
            if draw.random() < 0.03:
                boot, counts = boot + 1, dict.fromkeys(counts, 0.0)
            made = draw.choice((0, 5, 50))
            failed = draw.choice((0, 0, 0, made // 5))
            grown = {"requests": made, "failed": failed, "streams": made,
                     "overhead_s": made * draw.uniform(0.05, 0.6), "overheads": made}  # fmt: skip
            counts = {name: counts[name] + by for name, by in grown.items()}
            tally = self._scene.tally(f"b{boot}", counts) if draw.random() < 0.9 else None
            at_s = self._scene.now.timestamp() - 60 * (self.minutes - number)
            found.append(Glance(at_s, up=draw.random() < 0.95, tally=tally))
        return found

    @property
    def runs(self) -> Sequence[Run]:
        """Runs of verification traffic that ended before."""
        draw = self._random
        return [
            self._scene.run(
                at_s=self._scene.now.timestamp() - 60.0 * number,
                sound=draw.random() < 0.8,
                streams=(made := draw.randrange(0, 60)),
                broken=min(made, draw.choice((0, 0, 1, 5))),
            )
            for number in range(1, draw.randrange(1, 4))
        ]


def judged(
    scene: Scene, order: Order, healthy: Measured, world: World, later_s: float = 0
) -> Mapping[str, Verdict]:
    """Judge what is kept beside a measurement; verdicts by criterion, "" for the gate."""
    kept = open_evidence(order, world).kept
    now = healthy.now + timedelta(seconds=later_s)
    window = window_of(kept.glances)
    measured = replace(healthy, kept=kept, window=window, now=now, age_s=later_s)
    found = scene.judged(order, measured)
    return {"": found.verdict, **{r.ruling.criterion.id: r.ruling.verdict for r in found.rows}}


def test_undecided_never_becomes_go_without_new_samples(
    scene: Scene, world: World, tmp_path: Path
) -> None:
    criteria, path = tmp_path / "criteria.json", tmp_path / "evidence.jsonl"
    criteria.write_text(json.dumps(WITHIN_REACH))
    order = scene.order(phase=2, every=60, criteria=str(criteria), evidence=str(path))
    open_evidence(order, world)
    header, seen = path.read_bytes(), set[Verdict]()
    for seed in range(HISTORIES):
        history, draw = History(scene, seed), random.Random(seed)
        samples: tuple[Glance | Run, ...] = (*history.glances, *history.runs)
        lines = [canonical(one.to_json()) + b"\n" for one in samples]
        path.write_bytes(header + b"".join(lines))
        measured = history.measured()
        first = judged(scene, order, measured, world)
        again = [*lines, *draw.choices(lines, k=len(lines))]
        draw.shuffle(again)
        path.write_bytes(header + b"".join(again))
        then = judged(scene, order, measured, world, draw.choice((0, 30, 3000)))
        turned = {
            name for name, verdict in first.items()
            if verdict is Verdict.INCONCLUSIVE and then[name] is Verdict.GO
        }  # fmt: skip
        assert not turned, f"history {seed}"
        seen |= set(first.values())
    assert {Verdict.GO, Verdict.NO_GO, Verdict.INCONCLUSIVE} <= seen  # it was about something
