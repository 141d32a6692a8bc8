"""What a gate makes of its measurements, and of how its tests were run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from jsonschema import Draft202012Validator

from cco_migrate import config, resources
from cco_migrate.checks.sending import Exchange
from cco_migrate.config import ConfigName
from cco_migrate.criteria import CRITERIA, to_json
from cco_migrate.errors import InvalidInput
from cco_migrate.gates.evidence import EVIDENCE, observe
from cco_migrate.gates.measuring import Look, Measured
from cco_migrate.gates.order import GateOptions, Order, make_order
from cco_migrate.gates.outcome import EXIT_CODES, Judged, Row, conclude, judge
from cco_migrate.gates.outcome import to_json as document_of
from cco_migrate.gates.phases import PHASES, criteria_of
from cco_migrate.gates.plugin import GateRun, Outputs
from cco_migrate.gates.rendering import MAX_SUMMARY_BYTES, document_lines, junit, markdown
from cco_migrate.judge.criterion import Mode
from cco_migrate.judge.gate import Unmeasured
from cco_migrate.options import CODES
from cco_migrate.probes.canaries import canary
from cco_migrate.probes.counters import REQUESTS, STATISTICS, Counters
from cco_migrate.probes.instances import Health, Process
from cco_migrate.probes.records import Record
from cco_migrate.probes.streams import Sent
from cco_migrate.verdict import Verdict
from cco_migrate.world import Files

URL = "http://127.0.0.1:3000"
PLANNED = "c7d2c7d2c7d2c7d2"
OPTIONS = GateOptions(URL, fingerprint=PLANNED, key="demo")
STREAMS = 43


@pytest.fixture
def order() -> Order:
    return make_order(OPTIONS, Files())


def health(boot: str = "b0", at_s: float = 0.0, **change: object) -> Health:
    seen = Health("ok", PLANNED, boot, 1, int(at_s), at_s, at_s)
    return replace(seen, **change)  # type: ignore[arg-type]  # a test names the fields it changes


def look(at_s: float, requests: float, *boots: str) -> Look:
    named = boots or ("b0",)
    found = tuple(Process(f"worker {n}", boot, PLANNED) for n, boot in enumerate(named))
    series = {f'{REQUESTS}{{status="200"}}': requests, STATISTICS: requests}
    counters = Counters(series, named, at_s)
    return Look((health(named[0], at_s),) * 8, found, {"anthropic": True}, counters)


def sent(number: int, **change: object) -> Sent:
    usage = {"input_tokens": 100, "output_tokens": 20}
    stream = Exchange(f"gw_{number}", 200, usage=usage)
    stream = replace(stream, **change)  # type: ignore[arg-type]  # as in health()
    return Sent(canary(number, run="r", model="m"), stream, None, compared=True, loss="")


def record(number: int, **change: object) -> Record:
    betas = list(canary(number, run="r", model="m").betas)
    row = {
        "request_id": f"gw_{number}", "model": "claude-haiku-4-5-20251001", "cost_usd": 0.0002,
        "terms": [], "request_shape": {"betas": betas},
    }  # fmt: skip
    return {**row, **change}


def healthy() -> Measured:
    before, after = look(100, 10), look(102, 10 + STREAMS)
    readings = tuple(one for one in (before.counters, after.counters) if isinstance(one, Counters))
    numbers = range(STREAMS)
    return Measured(
        before, after, readings, tuple(sent(n) for n in numbers), "",
        tuple(record(n) for n in numbers),
    )  # fmt: skip


def rows_of(measured: Measured, order: Order) -> Mapping[str, Row]:
    judged = judge(order, observe(measured, order))
    return {row.ruling.criterion.id: row for row in judged.rows}


def counted(boot: str, requests: float, statistics: float) -> Counters:
    return Counters({REQUESTS: requests, STATISTICS: statistics}, (boot,) if boot else (), 0.0)


def test_every_criterion_of_every_phase_has_evidence_of_its_own() -> None:
    asked = [name for names in PHASES.values() for name in names]
    assert sorted(EVIDENCE) == sorted(set(asked))
    for phase in PHASES:
        assert [one.id for one in criteria_of(phase, CRITERIA)] == list(PHASES[phase])


def test_healthy_measurement_is_go(order: Order) -> None:
    rows = rows_of(healthy(), order)
    assert {row.ruling.verdict for row in rows.values()} == {Verdict.GO}


def changed_look(**change: object) -> Measured:
    measured = healthy()
    after = replace(measured.after, **change)  # type: ignore[arg-type]  # as in health()
    return replace(measured, after=after)


STALE = health("b1", 102, fingerprint="0ld0")
CASES: Mapping[str, tuple[Measured, str, Verdict, str]] = {
    "stale worker that only answers health": (
        changed_look(health=(*(health("b0", 102),) * 7, STALE)),
        "config-loaded", Verdict.NO_GO, "/health of process b1 has 0ld0",
    ),
    "nobody names all workers and one of two was met": (
        changed_look(processes=Unmeasured("no list"), health=(health("b0", 102, workers=2),) * 8),
        "config-loaded", Verdict.INCONCLUSIVE, "only 1 of 2 workers were met: no list",
    ),
    "nobody names all workers and all were met": (
        changed_look(processes=Unmeasured("no list")), "config-loaded", Verdict.GO, "0 of 1",
    ),
    "no fingerprint": (
        changed_look(processes=Unmeasured("x"), health=(health(fingerprint=None),) * 8),
        "config-loaded", Verdict.INCONCLUSIVE, "tells no configuration fingerprint",
    ),
    "one look in eight was not answered": (
        changed_look(health=(*(health("b0", 102),) * 7, Unmeasured("refused"))),
        "config-loaded", Verdict.INCONCLUSIVE, "only 87.5% of the planned probes",
    ),
    "draining": (
        changed_look(health=(health("b0", 102, status="draining"),) * 8),
        "gateway-healthy", Verdict.NO_GO, "/health says draining",
    ),
    "no provider is named": (
        changed_look(providers=Unmeasured("no providers")),
        "gateway-healthy", Verdict.INCONCLUSIVE, "no providers",
    ),
    "health that does not age": (
        changed_look(health=(health("b0", 102, uptime_s=100),) * 8),
        "evidence-integrity", Verdict.NO_GO, "uptime grew by 0 s in 2.0 s",
    ),
    "counters that fell": (
        replace(healthy(), readings=(counted("b0", 9, 9), counted("b0", 5, 60))),
        "evidence-integrity", Verdict.NO_GO, "fell from 9 to 5 in the same process",
    ),
    "counters that fell with a new process": (
        replace(healthy(), readings=(counted("b0", 9, 9), counted("b1", 5, 60))),
        "evidence-integrity", Verdict.INCONCLUSIVE, "with a new process",
    ),
    "counters that fell and nobody names the process": (
        replace(healthy(), readings=(counted("", 9, 9), counted("", 5, 60))),
        "evidence-integrity", Verdict.INCONCLUSIVE, "the window begins anew",
    ),
    "a reset that was grown over": (
        replace(healthy(), readings=(counted("b0", 9, 9), counted("b0", 43, 60))),
        "evidence-integrity", Verdict.NO_GO, "grew by 34 while 43 were sent",
    ),
    "statistics that miss a request": (
        replace(healthy(), readings=(counted("b0", 9, 9), counted("b0", 60, 51))),
        "evidence-integrity", Verdict.NO_GO, "total_requests grew by 42 while 43 were sent",
    ),
    "counters that were read once": (
        replace(healthy(), readings=(counted("b0", 9, 9),)),
        "evidence-integrity", Verdict.INCONCLUSIVE, "read once",
    ),
    "refused credential": (
        replace(healthy(), sent=(sent(0, status=401, faults=("401 no",)),)),
        "stream-conformance", Verdict.INCONCLUSIVE, "credential was refused with 401",
    ),
    "answers without an id": (
        replace(healthy(), sent=tuple(sent(n, request_id=None) for n in range(STREAMS))),
        "audit-complete", Verdict.INCONCLUSIVE, "43 answers carry no x-gateway-request-id",
    ),
    "no audit": (
        replace(healthy(), records=Unmeasured("no audit")),
        "audit-complete", Verdict.INCONCLUSIVE, "no audit",
    ),
    "one record lost": (
        replace(healthy(), records=tuple(record(n) for n in range(STREAMS - 1))),
        "audit-complete", Verdict.NO_GO, "1 not recorded",
    ),
    "one beta lost": (
        replace(healthy(), records=(record(0, request_shape={"betas": []}),)),
        "canary-intact", Verdict.NO_GO, "canary 1: betas lost: claude-code-20250219",
    ),
    "nothing could be compared": (
        replace(
            healthy(), records=Unmeasured("x"),
            sent=tuple(replace(sent(n), compared=False) for n in range(STREAMS)),
        ),
        "canary-intact", Verdict.INCONCLUSIVE, "0 of 43 streams could be compared",
    ),
    "a thousand times too much": (
        replace(healthy(), records=tuple(record(n, cost_usd=0.2) for n in range(STREAMS))),
        "cost-accuracy", Verdict.NO_GO, "a thousand times too much",
    ),
    "model without a price": (
        replace(healthy(), records=tuple(record(n, model="unheard-of") for n in range(STREAMS))),
        "cost-accuracy", Verdict.INCONCLUSIVE, "43 without charge or price",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_measurement_is_judged_and_told(order: Order, case: str) -> None:
    measured, name, verdict, words = CASES[case]
    row = rows_of(measured, order)[name]
    assert row.ruling.verdict is verdict, row.text
    assert words in row.text


def test_criteria_that_rest_on_unsound_evidence_are_inconclusive(order: Order) -> None:
    rows = rows_of(CASES["counters that fell"][0], order)
    assert rows["audit-complete"].ruling.verdict is Verdict.INCONCLUSIVE
    assert "evidence-integrity is NO-GO" in rows["audit-complete"].text


def test_cost_is_not_judged_when_the_configuration_switches_it_off(order: Order) -> None:
    row = rows_of(healthy(), replace(order, prices=None))["cost-accuracy"]
    assert row.ruling.verdict is Verdict.INCONCLUSIVE
    assert "costTracking.enabled is false" in row.text


def judged_of(order: Order, measured: Measured) -> Judged:
    return judge(order, observe(measured, order))


ALL = PHASES[1]


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
    order: Order, executed: Sequence[str], irregular: Sequence[str], verdict: Verdict
) -> None:
    outcome = conclude(order, judged_of(order, healthy()), executed, irregular)
    assert outcome.verdict is verdict
    assert bool(outcome.irregular) is (verdict is not Verdict.GO)


def test_no_go_stays_no_go_however_the_run_was_cut(order: Order) -> None:
    measured = CASES["one record lost"][0]
    outcome = conclude(order, judged_of(order, measured), ALL[1:], ())
    assert (outcome.verdict, outcome.code) == (Verdict.NO_GO, 3)


def test_run_that_measured_nothing_is_inconclusive(order: Order) -> None:
    outcome = conclude(order, None, (), ())
    assert (outcome.verdict, outcome.code, outcome.rows) == (Verdict.INCONCLUSIVE, 4, ())


def test_every_verdict_has_its_listed_exit_code() -> None:
    assert set(EXIT_CODES) == set(Verdict)
    assert set(EXIT_CODES.values()) <= CODES.keys()
    assert [code for verdict, code in EXIT_CODES.items() if verdict is Verdict.GO] == [0]


@pytest.mark.parametrize("case", ["one record lost", "refused credential", "draining"])
def test_verdict_file_fits_its_schema_and_names_every_criterion(order: Order, case: str) -> None:
    document = document_of(conclude(order, judged_of(order, CASES[case][0]), ALL[:3], ()))
    parsed = json.loads(json.dumps(document))
    Draft202012Validator(resources.schema("gate-verdict")).validate(parsed)
    assert [row["id"] for row in parsed["criteria"]] == list(ALL)
    assert list(document_lines(parsed))[-1].startswith(document["verdict"])


def test_junit_has_no_skips_and_tells_failures_from_errors(order: Order) -> None:
    measured = replace(CASES["one record lost"][0], readings=(counted("b0", 9, 9),))
    draining = replace(measured, after=CASES["draining"][0].after)
    outcome = conclude(order, judged_of(order, draining), ALL[:-1], ())
    suite = ET.fromstring(junit(outcome))[0]  # our own
    found = {case.get("name"): [child.tag for child in case] for case in suite}
    assert found["gateway-healthy"] == ["failure"]
    assert found["evidence-integrity"] == ["error"]
    assert found["config-loaded"] == ["system-out"]
    assert found["every-criterion-executed"] == ["error"]
    assert suite.get("skipped") == "0"
    assert suite.get("hostname") is None
    assert suite.get("tests") == str(len(ALL) + 1)


def test_what_a_gateway_says_is_no_markup(order: Order) -> None:
    strange = "no | <b>\x00\n`x`"
    measured = replace(healthy(), records=Unmeasured(strange))
    outcome = conclude(order, judged_of(order, measured), ALL, ())
    text = markdown(outcome)
    assert "no \\| &lt;b>" in text
    assert all(line.count(" | ") == 2 for line in text.splitlines()[6:])
    assert b"\x00" not in junit(outcome)


def test_summary_for_people_is_cut_where_a_step_may_not_write_more(order: Order) -> None:
    judged = judged_of(order, healthy())
    long = replace(judged, rows=tuple(replace(row, notes=("é" * 200_000,)) for row in judged.rows))
    data = markdown(conclude(order, long, ALL, ())).encode()
    assert len(data) <= MAX_SUMMARY_BYTES
    assert data.decode().endswith("the verdict file has everything.\n")


def test_measurement_that_broke_down_is_not_repeated(
    order: Order, tmp_path: Path, closed_port: int
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


def written(tmp_path: Path, name: str, document: object) -> str:
    path = tmp_path / name
    path.write_text(json.dumps(document))
    return str(path)


def test_criteria_file_has_its_effect(tmp_path: Path) -> None:
    path = written(tmp_path, "criteria.json", {"audit-complete": {"mode": "observe"}})
    order = make_order(replace(OPTIONS, criteria=path), Files())
    assert order.criterion("audit-complete").mode is Mode.OBSERVE
    outcome = conclude(order, judged_of(order, CASES["one record lost"][0]), ALL, ())
    assert outcome.verdict is Verdict.GO
    assert "(observed only)" in markdown(outcome)
    assert b"<failure" not in junit(outcome)


def test_planned_configuration_is_that_of_the_files(tmp_path: Path) -> None:
    overrides = tmp_path / "model-overrides.toml"
    overrides.write_text("[overrides]\nenabled = false\nrules = []\n")
    orchestra = tmp_path / "orchestra-config.json"
    orchestra.write_text('{"llmGateway": {"costTracking": {"enabled": false}}}')
    order = make_order(GateOptions(URL, config=str(overrides), key="demo"), Files())
    files = {ConfigName.OVERRIDES: overrides.read_bytes(),
             ConfigName.ORCHESTRA: orchestra.read_bytes()}  # fmt: skip
    assert order.fingerprint == config.fingerprint(files)
    assert order.prices is None


def test_credential_is_in_no_repr_and_not_needed_when_nothing_is_sent(order: Order) -> None:
    assert order.credential
    assert order.credential not in repr(order)
    quiet = make_order(replace(OPTIONS, key="env:CCO_NO_SUCH_KEY", streams=0), Files())
    assert quiet.credential == ""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"url": "ftp://x"}, "write http://HOST:PORT"),
        ({"url": "http://u:secret@h:1"}, "without user and password"),
        ({"phase": 2}, "no gate measures it yet; there is: 1"),
        ({"streams": -1}, "0 or more"),
        ({"config": "a.toml"}, "not both"),
        ({"config": "nowhere.toml", "fingerprint": ""}, "there is no such file"),
        ({"criteria": "nowhere.json"}, "No such file"),
        ({"key": "sk-ant-secret"}, "never the key itself"),
    ],
)
def test_impossible_order_is_refused(change: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as caught:
        make_order(replace(OPTIONS, **change), Files())  # type: ignore[arg-type]  # as in health()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("unheard-of", {}, "criteria nobody measures: unheard-of"),
        ("stream-conformance", {}, "stream-conformance.kind: is rate"),
        ("audit-complete", {"depends_on": ["error-rate"]}, "audit-complete depends on error-rate"),
    ],
)
def test_criterion_nobody_can_answer_is_refused(
    tmp_path: Path, name: str, change: dict[str, object], said: str
) -> None:
    row = {**to_json(CRITERIA["audit-complete"]), "depends_on": [], **change}
    path = written(tmp_path, "criteria.json", {name: row})
    with pytest.raises(InvalidInput, match=said):
        make_order(replace(OPTIONS, criteria=path), Files())
