"""What a run of a gate ends with: the verdict of whole and cut runs, its files and their forms."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from jsonschema import Draft202012Validator

from cco_migrate import resources
from cco_migrate.gates.measured import Measured
from cco_migrate.gates.order import Order
from cco_migrate.gates.outcome import EXIT_CODES, conclude
from cco_migrate.gates.outcome import to_json as document_of
from cco_migrate.gates.phases import PHASES
from cco_migrate.gates.plugin import GateRun, Outputs
from cco_migrate.gates.rendering import MAX_SUMMARY_BYTES, document_lines, junit, markdown
from cco_migrate.judge.gate import Unmeasured
from cco_migrate.options import CODES
from cco_migrate.verdict import Verdict

Scene = Any  # Any: the fixture of conftest.py, which cannot be imported

ALL = PHASES[1]
FAULTS: Mapping[str, Callable[[Scene], Measured]] = {
    "one record lost": lambda scene: replace(
        scene.healthy(), records=tuple(scene.record(n) for n in range(scene.streams - 1))
    ),
    "refused credential": lambda scene: replace(
        scene.healthy(), sent=(scene.sent(0, status=401, faults=("401 no",)),)
    ),
    "draining": lambda scene: scene.after(health=(scene.health(status="draining"),) * 8),
}


@pytest.mark.parametrize(
    ("executed", "irregular", "verdict"),
    [
        (ALL, (), Verdict.GO),
        (ALL[1:], (), Verdict.INCONCLUSIVE),
        (ALL, ("audit-complete was skipped",), Verdict.INCONCLUSIVE),
        ((), (), Verdict.INCONCLUSIVE),
    ],
)
def test_only_a_whole_run_is_go(
    scene: Scene, order: Order, executed: Sequence[str], irregular: Sequence[str], verdict: Verdict
) -> None:
    outcome = conclude(order, scene.judged(order, scene.healthy()), executed, irregular)
    assert outcome.verdict is verdict
    assert bool(outcome.irregular) is (verdict is not Verdict.GO)


def test_no_go_stays_no_go_however_the_run_was_cut(scene: Scene, order: Order) -> None:
    measured = FAULTS["one record lost"](scene)
    outcome = conclude(order, scene.judged(order, measured), ALL[1:], ())
    assert (outcome.verdict, outcome.code) == (Verdict.NO_GO, 3)


def test_run_that_measured_nothing_is_inconclusive(scene: Scene, order: Order) -> None:
    outcome = conclude(order, None, (), ())
    assert (outcome.verdict, outcome.code, outcome.rows) == (Verdict.INCONCLUSIVE, 4, ())


def test_every_verdict_has_its_listed_exit_code() -> None:
    assert set(EXIT_CODES) == set(Verdict)
    assert set(EXIT_CODES.values()) <= CODES.keys()
    assert [code for verdict, code in EXIT_CODES.items() if verdict is Verdict.GO] == [0]


@pytest.mark.parametrize("case", FAULTS)
def test_verdict_file_fits_its_schema_and_names_every_criterion(
    scene: Scene, order: Order, case: str
) -> None:
    document = document_of(conclude(order, scene.judged(order, FAULTS[case](scene)), ALL[:3], ()))
    parsed = json.loads(json.dumps(document))
    Draft202012Validator(resources.schema("gate-verdict")).validate(parsed)
    assert [row["id"] for row in parsed["criteria"]] == list(ALL)
    assert list(document_lines(parsed))[-1].startswith(document["verdict"])


def test_junit_has_no_skips_and_tells_failures_from_errors(scene: Scene, order: Order) -> None:
    measured = replace(FAULTS["one record lost"](scene), readings=(scene.counted("b0", 9, 9),))
    draining = replace(measured, after=FAULTS["draining"](scene).after)
    outcome = conclude(order, scene.judged(order, draining), ALL[:-1], ())
    suite = ET.fromstring(junit(outcome))[0]  # our own
    found = {case.get("name"): [child.tag for child in case] for case in suite}
    assert found["gateway-healthy"] == ["failure"]
    assert found["evidence-integrity"] == ["error"]
    assert found["config-loaded"] == ["system-out"]
    assert found["every-criterion-executed"] == ["error"]
    assert suite.get("skipped") == "0"
    assert suite.get("hostname") is None
    assert suite.get("tests") == str(len(ALL) + 1)


def test_what_a_gateway_says_is_no_markup(scene: Scene, order: Order) -> None:
    strange = "no | <b>\x00\n`x`"
    measured = replace(scene.healthy(), records=Unmeasured(strange))
    outcome = conclude(order, scene.judged(order, measured), ALL, ())
    text = markdown(outcome)
    assert "no \\| &lt;b>" in text
    assert all(line.count(" | ") == 2 for line in text.splitlines()[6:])
    assert b"\x00" not in junit(outcome)


def test_summary_for_people_is_cut_where_a_step_may_not_write_more(
    scene: Scene, order: Order
) -> None:
    judged = scene.judged(order, scene.healthy())
    long = replace(judged, rows=tuple(replace(row, notes=("é" * 200_000,)) for row in judged.rows))
    data = markdown(conclude(order, long, ALL, ())).encode()
    assert len(data) <= MAX_SUMMARY_BYTES
    assert data.decode().endswith("the verdict file has everything.\n")


def test_measurement_that_broke_down_is_not_repeated(
    scene: Scene, order: Order, tmp_path: Path, closed_port: int
) -> None:
    alone = replace(
        order, url=f"http://127.0.0.1:{closed_port}", streams=0,
        criteria=(order.criterion("stream-conformance"),),
    )  # fmt: skip
    verdict = tmp_path / "verdict.json"
    run = GateRun(alone, Outputs(verdict, None, None, None))
    raised = []
    for _ in range(2):
        with pytest.raises(ValueError, match="depends on config-loaded") as caught:
            run.row("stream-conformance")
        raised.append(caught.value)
    assert raised[0] is raised[1]


def test_earlier_verdict_is_removed_and_a_device_is_not(tmp_path: Path) -> None:
    verdict = tmp_path / "verdict.json"
    verdict.write_text("GO")
    Outputs(verdict, Path("/dev/null"), None, None).clear()
    assert not verdict.exists()
    assert Path("/dev/null").exists()
