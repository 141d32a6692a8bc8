"""What is typed becomes an order, or is refused before anything is asked or sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cco_migrate import config
from cco_migrate.config import ConfigName
from cco_migrate.criteria import CRITERIA, to_json
from cco_migrate.errors import InvalidInput
from cco_migrate.gates.order import GateOptions, Order, make_order
from cco_migrate.gates.outcome import conclude
from cco_migrate.gates.phases import PHASES
from cco_migrate.gates.rendering import junit, markdown
from cco_migrate.judge.criterion import Mode
from cco_migrate.verdict import Verdict
from cco_migrate.world import Files

URL = "http://127.0.0.1:3000"
OPTIONS = GateOptions(URL, fingerprint="c7d2c7d2c7d2c7d2", key="demo")
Scene = Any  # Any: the fixture of conftest.py, which cannot be imported
Written = Callable[[str, object], str]


def test_criteria_file_has_its_effect(scene: Scene, written: Written) -> None:
    path = written("criteria.json", {"audit-complete": {"mode": "observe"}})
    order = make_order(replace(OPTIONS, criteria=path), Files())
    assert order.criterion("audit-complete").mode is Mode.OBSERVE
    lost = tuple(scene.record(number) for number in range(scene.streams - 1))
    measured = replace(scene.healthy(), records=lost)
    outcome = conclude(order, scene.judged(order, measured), PHASES[1], ())
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
        ({"phase": 4}, "no gate measures it; there is: 0, 1, 2, 3"),
        ({"phase": 0}, "say with --baseline where to write it"),
        ({"phase": 0, "baseline": "nowhere/b.json"}, "there is no folder nowhere"),
        ({"evidence": "nowhere/e.jsonl"}, "there is no folder nowhere"),
        ({"watch": -1}, "watch -1 s"),
        ({"every": 0}, "every 0 s"),
        ({"systems": "http://a:1,b"}, "b: write http://HOST:PORT"),
        ({"baseline": "nowhere.json"}, "No such file"),
        ({"approvals": "nowhere.jsonl"}, "No such file"),
        ({"streams": -1}, "0 or more"),
        ({"config": "a.toml"}, "not both"),
        ({"config": "nowhere.toml", "fingerprint": ""}, "there is no such file"),
        ({"criteria": "nowhere.json"}, "No such file"),
        ({"key": "sk-ant-secret"}, "never the key itself"),
    ],
)
def test_impossible_order_is_refused(
    change: dict[str, Any],  # Any: fields of several types
    said: str,
) -> None:
    with pytest.raises(InvalidInput, match=said) as caught:
        make_order(replace(OPTIONS, **change), Files())
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
    written: Written, name: str, change: dict[str, object], said: str
) -> None:
    row = {**to_json(CRITERIA["audit-complete"]), "depends_on": [], **change}
    path = written("criteria.json", {name: row})
    with pytest.raises(InvalidInput, match=said):
        make_order(replace(OPTIONS, criteria=path), Files())


def test_figures_of_every_criterion_of_a_phase_can_be_changed(written: Written) -> None:
    changes = {"daemon-record": {"mode": "observe"}, "availability": {"window_s": 60}}
    path = written("criteria.json", changes)
    order = make_order(replace(OPTIONS, phase=3, criteria=path), Files())
    assert order.criterion("daemon-record").mode is Mode.OBSERVE
    assert order.criterion("availability").window_s == 60
    days = {
        phase: make_order(replace(OPTIONS, phase=phase), Files()).criterion("availability")
        for phase in (2, 3)
    }
    assert {phase: (one.window_s or 0) / 86_400 for phase, one in days.items()} == {2: 4, 3: 6}


@pytest.mark.parametrize(
    ("daemon", "switches"),
    [
        (None, (True, False)),
        ({"gatewayEnabled": False, "proxyEnabled": True}, (False, True)),
        ({"gateway_enabled": False}, (False, False)),
    ],
)
def test_switches_are_those_the_daemon_will_read(
    tmp_path: Path, written: Written, daemon: object, switches: tuple[bool, bool]
) -> None:
    overrides = tmp_path / "model-overrides.toml"
    overrides.write_text("[overrides]\nenabled = false\nrules = []\n")
    if daemon is not None:
        written("daemon-config.json", daemon)
    order = make_order(GateOptions(URL, phase=2, config=str(overrides), key="demo"), Files())
    assert order.switches == switches


APPROVAL = {
    "criterion": "team-approval", "by": "ada", "at": "2026-01-01T00:00:00Z", "scope": "phase-2:c7",
    "expires": "2026-02-01T00:00:00+01:00",
}  # fmt: skip


def test_approvals_are_read_by_criterion(written: Written) -> None:
    path = Path(written("approvals.jsonl", APPROVAL))
    refused = {**APPROVAL, "by": "bob", "approves": False}
    path.write_text(f"{path.read_text()}\n\n{json.dumps(refused)}\n")
    order = make_order(replace(OPTIONS, phase=2, approvals=str(path)), Files())
    assert order.approvals is not None
    assert [(one.by, one.approves) for one in order.approvals["team-approval"]] == [
        ("ada", True), ("bob", False),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"at": "yesterday"}, r"jsonl:1: at: 'yesterday' is no RFC 3339 time"),
        ({"expires": "2026-02-01T00:00:00"}, "names no offset"),
        ({"by": ""}, "by"),
        ({"aproves": True}, "aproves"),
    ],
)
def test_approval_that_is_none_is_named_by_its_line(
    written: Written, change: dict[str, object], said: str
) -> None:
    path = written("approvals.jsonl", {**APPROVAL, **change})
    with pytest.raises(InvalidInput, match=said):
        make_order(replace(OPTIONS, phase=2, approvals=path), Files())


def test_baseline_is_read_back_and_a_broken_one_is_named(scene: Scene, tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    path.write_bytes(scene.baseline().encoded())
    order = make_order(replace(OPTIONS, phase=2, baseline=str(path)), Files())
    assert order.baseline == scene.baseline()
    path.write_text('{"schema_version": 1, "at": "x", "url": "y", "first_token": {"m": {"n": 0}}}')
    with pytest.raises(InvalidInput, match=r"baseline\.json:1: first_token"):
        make_order(replace(OPTIONS, phase=2, baseline=str(path)), Files())
