"""Planning and trying out one of many targets: what it costs, counted."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from cco_migrate.model import DriverSpec, Instance
from cco_migrate.one_look import one_look
from cco_migrate.planning import preflight
from cco_migrate.planning.dry_run import dry_run
from cco_migrate.planning.making import run_preflight
from cco_migrate.progress import Output
from cco_migrate.session import MigrateOptions, Session
from cco_migrate.target import Target
from cco_migrate.world import World

OVERRIDES = b"""\
[overrides]
enabled = false
rules = [["claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001"]]
"""
ANSWERS: Mapping[str, object] = {
    "/health": {"status": "ok", "overrides_enabled": False, "override_rules": 1},
    "/api/overrides/stats": {"total_overrides": 0, "overrides_by_model": {}},
    "/api/machine/stats": {"models": []},
}


def foreign(home: Path, url: str) -> Instance:
    config = home / "config" / "model-overrides.toml"
    config.parent.mkdir(parents=True)
    config.write_bytes(OVERRIDES)
    driver = DriverSpec("command", stop="stop-it", start="start-it")
    return Instance(home.name, url, config, home, driver)


def test_plan_and_dry_run_ask_a_gateway_each_thing_once(
    tmp_path: Path, world: World, serve: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: Counter[str] = Counter()

    def script(_method: str, target: str, _body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        asked[target] += 1
        row = ANSWERS.get(target)
        return 404 if row is None else 200, {}, json.dumps(row or {}).encode()

    monkeypatch.setenv("TEST_KEY", "not-a-real-key")
    session = Session(Target(home=str(tmp_path)), Output(quiet=True), world)
    url = serve(script)
    for number in (1, 2):
        target = foreign(tmp_path / str(number), url)
        look = replace(session, world=one_look(world))
        _, plan, lines = run_preflight(look, target, MigrateOptions(key="env:TEST_KEY"))
        preflight.refuse(lines)
        assert plan is not None
        assert dry_run(look, plan).document["digest"] == plan.digest
        assert target.config.read_bytes() == OVERRIDES
        assert set(asked.values()) == {number}, asked
    assert Counter(target.partition("?")[0] for target in asked) == Counter(
        [*ANSWERS, "/gateway/audit"]
    )
