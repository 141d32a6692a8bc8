"""A gate from its order to its verdict against a loopback server: what is kept, what is written."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from cco_migrate.commands import gates
from cco_migrate.errors import InvalidInput, LockHeld
from cco_migrate.gates.evidence_file import open_evidence
from cco_migrate.gates.evidence_lock import evidence_locked, require_free
from cco_migrate.gates.holding import hold_gate
from cco_migrate.gates.order import GateOptions, Order
from cco_migrate.progress import Output
from cco_migrate.session import Session
from cco_migrate.target import Target
from cco_migrate.verdict import Verdict
from cco_migrate.world import World

Scene = Any  # Any: the fixture of conftest.py, which cannot be imported
Reply = tuple[int, Mapping[str, str], bytes | Sequence[bytes | None]]
Serve = Callable[[Callable[[str, str, bytes], Reply]], str]
USAGE = {"input_tokens": 9, "output_tokens": 7}
EVENTS: Sequence[Mapping[str, object]] = (
    {"type": "message_start", "message": {"usage": USAGE}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hello"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "usage": USAGE},
    {"type": "message_stop"},
)


def old_path(events: Sequence[Mapping[str, object]]) -> Callable[[str, str, bytes], Reply]:
    """Answer messages and nothing else: the old path has no health and counts nothing."""
    stream = "".join(f"data: {json.dumps(event)}\n\n" for event in events).encode()

    def script(_method: str, target: str, body: bytes) -> Reply:
        if not target.startswith("/v1/messages"):
            return 404, {}, b""
        if json.loads(body)["stream"]:
            return 200, {"content-type": "text/event-stream"}, stream
        whole = {"type": "message", "content": [{"type": "text", "text": "hi"}], "usage": USAGE}
        return 200, {"content-type": "application/json"}, json.dumps(whole).encode()

    return script


def wait_for_nobody(_what: str, _timeout_s: float) -> None:
    return None


def test_baseline_is_gone_on_with_in_a_second_run_and_then_written(
    scene: Scene, serve: Serve, hurried: World, tmp_path: Path
) -> None:
    baseline = tmp_path / "baseline.json"
    order: Order = scene.order(
        phase=0, url=serve(old_path(EVENTS)), streams=30, baseline=str(baseline),
        evidence=str(tmp_path / "evidence.jsonl"),
    )  # fmt: skip
    first = hold_gate(order, hurried, wait_for_nobody)
    assert first.verdict is Verdict.INCONCLUSIVE, [row.text for row in first.rows]
    assert not baseline.exists()
    second = hold_gate(order, hurried, wait_for_nobody)
    assert second.verdict is Verdict.GO, [row.text for row in second.rows]
    strata = json.loads(baseline.read_bytes())["first_token"]
    assert {name: one["n"] for name, one in strata.items()} == {
        "claude-haiku-4-5-20251001, streamed, text": 40,
        "claude-haiku-4-5-20251001, streamed, tool call": 20,
    }


def test_both_paths_are_asked_the_same_in_turns(
    scene: Scene, serve: Serve, hurried: World, tmp_path: Path
) -> None:
    asked: list[tuple[str, str]] = []

    def path(name: str) -> Callable[[str, str, bytes], Reply]:
        answer = old_path(EVENTS)

        def script(method: str, target: str, body: bytes) -> Reply:
            if target == "/health":
                return 200, {}, b'{"status": "ok"}'
            if json.loads(body)["stream"]:
                asked.append((name, json.loads(body)["messages"][0]["content"]))
            return answer(method, target, body)

        return script

    baseline = tmp_path / "baseline.json"
    order: Order = scene.order(
        phase=0, url=serve(path("old")), beside=serve(path("new")), streams=51,
        baseline=str(baseline),
    )  # fmt: skip
    judged = hold_gate(order, hurried, wait_for_nobody)
    assert judged.verdict is Verdict.GO, [row.text for row in judged.rows]
    # Within a burst the order is anybody's; burst by burst they take turns.
    bursts = [sorted(asked[begin : begin + 3]) for begin in range(0, len(asked), 3)]
    assert [{name for name, _ in burst} for burst in bursts] == [{"old"}, {"new"}] * 17
    for old, new in zip(bursts[::2], bursts[1::2], strict=True):
        assert [text for _, text in old] == [text for _, text in new]
    document = json.loads(baseline.read_bytes())
    assert (document["path"], document["streams"]) == ("direct", 51)
    assert (document["gateway"]["url"], document["gateway"]["streams"]) == (order.gateway, 51)


def test_gateway_that_is_not_there_is_told_and_the_old_path_captured(
    scene: Scene, serve: Serve, hurried: World, tmp_path: Path, closed_port: int
) -> None:
    baseline = tmp_path / "baseline.json"
    order = scene.order(
        phase=0, url=serve(old_path(EVENTS)), beside=f"http://127.0.0.1:{closed_port}", streams=51,
        baseline=str(baseline),
    )  # fmt: skip
    judged = hold_gate(order, hurried, wait_for_nobody)
    assert judged.verdict is Verdict.GO, [row.text for row in judged.rows]
    assert f"http://127.0.0.1:{closed_port}/health does not answer" in judged.rows[1].text
    assert "gateway" not in json.loads(baseline.read_bytes())


def test_refused_credential_ends_the_capture_after_one_burst(
    scene: Scene, serve: Serve, hurried: World, tmp_path: Path
) -> None:
    asked: list[str] = []

    def script(_method: str, target: str, _body: bytes) -> Reply:
        asked.append(target)
        return 401, {}, b"{}"

    baseline = tmp_path / "baseline.json"
    order = scene.order(phase=0, url=serve(script), streams=51, baseline=str(baseline))
    judged = hold_gate(order, hurried, wait_for_nobody)
    assert judged.verdict is Verdict.INCONCLUSIVE
    assert "credential was refused with 401" in judged.rows[0].text
    assert len(asked) == 3
    assert not baseline.exists()


def test_old_path_that_breaks_streams_is_no_go_after_a_few_and_no_baseline(
    scene: Scene, serve: Serve, hurried: World, tmp_path: Path
) -> None:
    baseline, evidence = tmp_path / "baseline.json", tmp_path / "evidence.jsonl"
    order = scene.order(
        phase=0, url=serve(old_path(EVENTS[:-1])), streams=12, baseline=str(baseline),
        evidence=str(evidence),
    )  # fmt: skip
    assert hold_gate(order, hurried, wait_for_nobody).verdict is Verdict.NO_GO
    assert not baseline.exists()
    (run,) = open_evidence(order, hurried).kept.runs
    assert (run.streams, run.broken, dict(run.first_token)) == (12, 12, {})


def test_every_look_of_a_watch_is_kept_in_time(
    scene: Scene, serve: Serve, hurried: World, tmp_path: Path
) -> None:
    up = serve(lambda _method, _target, _body: (200, {}, b'{"status": "ok"}'))
    order = scene.order(
        phase=2, url=up, streams=0, watch=300, every=60, evidence=str(tmp_path / "e.jsonl")
    )
    hold_gate(order, hurried, wait_for_nobody)
    kept = open_evidence(order, hurried).kept
    begin_s = kept.glances[0].at_s
    assert [round((one.at_s - begin_s) / 60) for one in kept.glances] == [0, 1, 2, 3, 4, 5, 5]
    assert all(one.up and one.tally is None for one in kept.glances)
    assert kept.runs == ()


def test_two_gates_on_one_file_of_evidence_are_kept_apart(
    scene: Scene, serve: Serve, hurried: World, tmp_path: Path
) -> None:
    asked: list[str] = []

    def script(_method: str, target: str, _body: bytes) -> Reply:
        asked.append(target)
        return 200, {}, b'{"status": "ok"}'

    path = tmp_path / "evidence.jsonl"
    typed = {"url": serve(script), "phase": 1, "streams": 0, "evidence": str(path)}
    order: Order = scene.order(**typed)
    with evidence_locked(path):
        with pytest.raises(LockHeld, match="another gate measures on this evidence") as caught:
            hold_gate(order, hurried, wait_for_nobody)
        with pytest.raises(LockHeld):  # the command says so with its code before it begins
            gates.gate(
                Session(Target(url=order.url), Output(quiet=True), hurried), typed_as(**typed)
            )
    assert (caught.value.code, asked, path.read_bytes()) == (11, [], b"")
    hold_gate(order, hurried, wait_for_nobody)
    assert asked
    require_free(path)


def test_evidence_that_cannot_be_locked_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(InvalidInput, match="no evidence can be kept in it"),
        evidence_locked(tmp_path),
    ):
        raise AssertionError("it was held")


def typed_as(**change: Any) -> Namespace:
    """What a command line without other options would be parsed to."""
    typed = {**asdict(GateOptions("")), "junit": "", "markdown": "", **change}
    return Namespace(**typed)
