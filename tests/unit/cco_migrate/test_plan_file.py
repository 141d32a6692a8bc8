"""A saved plan: the same after a trip through its file, refused when one byte of it differs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import cco_migrate
from cco_migrate import plan_file
from cco_migrate.context import Context
from cco_migrate.errors import InvalidInput
from cco_migrate.model import (
    Basis,
    Certainty,
    Change,
    DriverSpec,
    Instance,
    Observation,
    Plan,
    Step,
    canonical,
)
from cco_migrate.planning import basis, plan_text

PATH = Path("saved.json")
CONFIG = Path("/srv/gateway/config/model-overrides.toml")
BASIS = Basis(
    made_at="2026-11-21T12:00:00.000+00:00",
    tool_version=cco_migrate.__version__,
    files={str(CONFIG): "5b" * 32, "/srv/gateway/config/gateway.toml": None},
    runtime=("a41c09d2e7b3aaaa",),
    observations=(
        Observation("proof", Certainty.VERIFIED, "gateway, 1 worker, loaded a41c = files"),
        Observation("traffic", Certainty.ASSUMED, "the provider never told its limits"),
        Observation("traffic", Certainty.WARNED, "3 requests would break; waived"),
    ),
    blast_radius={
        "clients": ["ann"], "models": ["claude-sonnet-4-5"], "sessions": 1,
        "requests_per_hour": 12.5, "looked_at": 40,
    },
)  # fmt: skip
PLAN = Plan(
    kind="model-overrides",
    instance=Instance(
        "127.0.0.1:3000", "http://127.0.0.1:3000", CONFIG, Path("/srv/gateway"),
        DriverSpec("command", stop="stop it", start="start it"),
    ),
    steps=(
        Step(4, "enable", "enable overrides", "files.edit", {"path": str(CONFIG), "edits": []}),
        Step(8, "proof", "proof", "config.loaded", {"fingerprint": "c7d2"}),
        Step(9, "traffic", "traffic", "traffic.flows"),
    ),
    way_back=(Step(0, "back-proof", "proof", "config.loaded"),),
    changes=(Change(str(CONFIG), "-enabled = false\n+enabled = true  # naïve\n", "enable"),),
    fingerprint_before="a41c09d2e7b3aaaa",
    fingerprint_after="c7d2f15e8840aaaa",
    notes=("not checked: quality of the target model's answers",),
    basis=BASIS,
)  # fmt: skip


def test_plan_is_the_same_after_a_trip_through_its_file() -> None:
    again = plan_file.decode(plan_file.encode(PLAN), PATH)
    assert again == PLAN
    assert again.digest == PLAN.digest


def test_file_is_canonical_json_in_one_line() -> None:
    data = plan_file.encode(PLAN)
    assert data == canonical(json.loads(data)) + b"\n"


def test_same_plan_made_at_another_time_is_another_plan() -> None:
    later = replace(PLAN, basis=replace(BASIS, made_at="2026-11-21T12:00:00.001+00:00"))
    assert later.digest != PLAN.digest


def test_plan_that_says_not_what_it_rests_on_is_not_saved() -> None:
    with pytest.raises(ValueError, match="without a basis"):
        plan_file.encode(replace(PLAN, basis=None))


def changed(edit: Callable[[dict[str, Any]], object]) -> bytes:
    row = json.loads(plan_file.encode(PLAN))
    edit(row)
    return canonical(row)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (b"[]", "must be a table"),
        (b"{}", "is missing"),
        (b'{"plan": 1, "plan": 2}', "named twice"),
        (changed(lambda row: row.update(schema_version=2)), "schema_version: is not valid"),
        (changed(lambda row: row.update(more=1)), "more: unknown key"),
        (changed(lambda row: row["plan"].pop("basis")), "plan.basis: is missing"),
        (changed(lambda row: row["plan"]["steps"][0].pop("uses")), "uses: is missing"),
        (changed(lambda row: row["plan"]["steps"][0].update(uses="rm")), "changed after it was"),
        (changed(lambda row: row["plan"]["changes"].clear()), "changed after it was saved"),
        (changed(lambda row: row.update(sha256="0" * 64)), "changed after it was saved"),
    ],
)
def test_file_that_is_no_whole_plan_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        plan_file.decode(data, PATH)
    told = "\n".join([str(caught.value), *map(str, caught.value.findings)])
    assert said in told
    assert str(PATH) in told


def test_every_byte_of_the_plan_is_under_its_hash() -> None:
    data = plan_file.encode(PLAN)
    at = data.index(b"start it")
    with pytest.raises(InvalidInput, match="changed after it was saved"):
        plan_file.decode(data[:at] + b"starT it" + data[at + 8 :], PATH)


def gateway(fingerprint: str) -> Callable[[str, str, bytes], tuple[int, Mapping[str, str], bytes]]:
    row = {"status": "ok", "overrides_enabled": False, "config_fingerprint": fingerprint}

    def script(_method: str, path: str, _body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        return (200, {}, json.dumps(row).encode()) if path == "/health" else (404, {}, b"{}")

    return script


def resting_on(context: Context, content: bytes | None, fingerprint: str) -> Plan:
    files = {str(context.instance.config): basis.digest(content)}
    now = Basis("2026-11-21T12:00:00Z", cco_migrate.__version__, files, (fingerprint,))
    return replace(PLAN, instance=context.instance, basis=now)


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        (b"one", b"one", []),
        (b"one", b"two", ["was changed"]),
        (b"one", None, ["is gone"]),
        (None, b"one", ["is new"]),
        (None, None, []),
    ],
)
def test_files_that_moved_are_named(
    serve: Callable[..., str], context_at: Callable[[str], Context],
    before: bytes | None, now: bytes | None, said: list[str],
) -> None:  # fmt: skip
    context = context_at(serve(gateway("f0")))
    if now is not None:
        context.instance.config.write_bytes(now)
    moved = basis.moved(resting_on(context, before, "f0"), context)
    assert list(moved) == [f"{context.instance.config} {what}" for what in said]


def test_runtime_and_tool_that_moved_are_named(
    serve: Callable[..., str], context_at: Callable[[str], Context]
) -> None:
    context = context_at(serve(gateway("f1")))
    plan = resting_on(context, None, "f0")
    assert plan.basis is not None
    plan = replace(plan, basis=replace(plan.basis, tool_version="0.0.1"))
    assert basis.moved(plan, context) == (
        f"it was made by version 0.0.1, not {cco_migrate.__version__}",
        "the gateway has loaded f1, not f0",
    )


def test_gateway_that_went_away_is_named(
    context_at: Callable[[str], Context], closed_port: int
) -> None:
    context = context_at(f"http://127.0.0.1:{closed_port}")
    moved = basis.moved(resting_on(context, None, "f0"), context)
    assert moved == ("the gateway has loaded nothing that answers, not f0",)


def test_text_says_per_step_what_was_seen_and_what_is_assumed() -> None:
    lines = plan_text.steps(PLAN)
    proof = next(n for n, line in enumerate(lines) if line.startswith(" 8 proof"))
    assert lines[proof + 1].strip() == "verified: gateway, 1 worker, loaded a41c = files"
    assert lines[proof + 2].strip().startswith("goes on with: `overrides_enabled: true`")
    words = [line.strip().partition(":")[0] for line in lines]
    assert {"verified", "assumed", "warning", "goes on with"} <= set(words)


@pytest.mark.parametrize(
    ("radius", "said"),
    [
        (BASIS.blast_radius, "12.5 requests an hour for claude-sonnet-4-5, 1 session, clients: a"),
        (None, "every client of http://127.0.0.1:3000; how many is unknown"),
        ({**(BASIS.blast_radius or {}), "models": []}, "no recorded request asks for a model"),
    ],
)
def test_text_says_who_is_reached(radius: Mapping[str, Any] | None, said: str) -> None:
    plan = replace(PLAN, basis=replace(BASIS, blast_radius=radius))
    assert said in "\n".join(plan_text.summary(plan, Path("/srv")))


def test_text_shows_each_changed_line_under_its_short_path() -> None:
    lines = plan_text.summary(PLAN, Path("/srv"))
    assert lines[:3] == [
        "enable: gateway/config/model-overrides.toml",
        "  - enabled = false",
        "  + enabled = true  # naïve",
    ]
    assert "restart: stop and start" in lines
