"""Plans survive a trip through JSON, and their digest names exactly one plan."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cco_migrate.model import Change, DriverSpec, Instance, Plan, Step, canonical

INSTANCE = Instance(
    "127.0.0.1:3000",
    "http://127.0.0.1:3000",
    Path("/srv/cco/config/model-overrides.toml"),
    Path("/srv/cco"),
    DriverSpec("command", stop="systemctl stop cco", start="systemctl start cco"),
)
PLAN = Plan(
    kind="model-overrides",
    instance=INSTANCE,
    steps=(
        Step(1, "backup", "back up", "files.backup", {"files": ["/a"], "siblings": []}),
        Step(4, "enable", "enable", "files.edit", {"edits": [{"op": "set", "value": True}]}),
    ),
    way_back=(Step(0, "back-proof", "proof", "config.loaded", {"fingerprint": "f0"}),),
    changes=(Change("/a", "-x\n+ä\n", "enable"),),
    fingerprint_before="f0",
    fingerprint_after="f1",
    notes=("assumed",),
)


@pytest.mark.parametrize("log", [None, Path("/var/log/cco.log")])
def test_plan_round_trip_is_equal_and_has_the_same_digest(log: Path | None) -> None:
    plan = replace(PLAN, instance=replace(INSTANCE, log=log))
    again = Plan.from_json(json.loads(json.dumps(plan.to_json())))
    assert again == plan
    assert again.digest == plan.digest


def test_digest_does_not_depend_on_the_order_of_keys() -> None:
    row = json.loads(json.dumps(PLAN.to_json()))
    turned = {key: row[key] for key in reversed(row)}
    assert Plan.from_json(turned).digest == PLAN.digest == "02264a4a5c0e"


@pytest.mark.parametrize(
    "other",
    [
        replace(PLAN, fingerprint_after="f2"),
        replace(PLAN, notes=()),
        replace(PLAN, instance=replace(INSTANCE, url="http://127.0.0.1:3001")),
        replace(PLAN, steps=PLAN.steps[:1]),
    ],
)
def test_any_other_plan_has_another_digest(other: Plan) -> None:
    assert other.digest != PLAN.digest


@pytest.mark.parametrize("field", [*PLAN.to_json()])
def test_plan_without_a_field_is_refused(field: str) -> None:
    row = PLAN.to_json()
    del row[field]
    with pytest.raises(KeyError, match=field):
        Plan.from_json(row)


def test_plan_of_a_later_version_is_refused() -> None:
    with pytest.raises(ValueError, match="plan version 2, this tool reads 1"):
        Plan.from_json({**PLAN.to_json(), "schema_version": 2})


def test_step_is_found_forwards_and_on_the_way_back() -> None:
    assert PLAN.step("enable").number == 4
    assert PLAN.step("back-proof").number == 0
    with pytest.raises(KeyError):
        PLAN.step("absent")


def test_instance_knows_its_directories() -> None:
    assert INSTANCE.config_dir == Path("/srv/cco/config")
    assert INSTANCE.migrate_dir == Path("/srv/cco/migrate")


def test_canonical_sorts_and_keeps_text() -> None:
    assert canonical({"b": 1, "a": "ä"}) == '{"a":"ä","b":1}'.encode()
