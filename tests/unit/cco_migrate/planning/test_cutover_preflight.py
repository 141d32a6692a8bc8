"""What a cutover looks at before it touches anything: files, record, the way back, gates."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cco_migrate.config import ConfigName
from cco_migrate.context import Context
from cco_migrate.gates.baseline import Baseline, Pace
from cco_migrate.migrations import Inputs
from cco_migrate.migrations.inputs import Cutover, Verification
from cco_migrate.planning import cutover_preflight as look
from cco_migrate.planning.preflight import Line, Mark
from cco_migrate.world import Clock

OLD = b'{"gatewayEnabled": false, "proxyEnabled": true}'


class Hasty(Clock):
    """A clock for whom one look is enough."""

    def wait_until(self, done: Callable[[], bool], timeout_s: float, every_s: float = 0.05) -> bool:
        return done()


@pytest.fixture
def context(context_at: Callable[[str], Context]) -> Context:
    made = context_at("http://127.0.0.1:3000")
    return replace(made, world=replace(made.world, clock=Hasty()))


def inputs_of(context: Context, data: bytes | None, cutover: Cutover | None = None) -> Inputs:
    files = dict.fromkeys(ConfigName, None) | {ConfigName.DAEMON: data}
    return Inputs(
        context.instance, files, fix=False, replace=True, known_models=(),
        verification=Verification(credential="demo"), cutover=cutover or Cutover(phase=2),
    )  # fmt: skip


def told(context: Context, **ports: int | None) -> None:
    (context.instance.home / "daemon.pid").write_text(json.dumps(ports))


def only(lines: list[Line]) -> Line:
    (line,) = lines
    return line


@pytest.mark.parametrize(
    ("ports", "mark", "said"),
    [
        ({"port": 3000, "gateway_port": None, "proxy_port": 9}, Mark.OK, "proxy port 9"),
        ({"port": 3000, "gateway_port": 3000, "proxy_port": 9}, Mark.FAIL, "still sends clients"),
        ({"port": 3000, "gateway_port": None, "proxy_port": 0}, Mark.FAIL, "no proxy_port"),
        ({}, Mark.FAIL, "no proxy_port"),
    ],
)
def test_record_has_to_agree_with_the_switches(
    context: Context, ports: dict[str, int | None], mark: Mark, said: str
) -> None:
    told(context, **ports)
    line = only(look.check_record(inputs_of(context, OLD), context))
    assert (line.mark, said in line.text) == (mark, True), line.text


def test_daemon_without_a_record_is_refused(context: Context) -> None:
    line = only(look.check_record(inputs_of(context, OLD), context))
    assert line.mark is Mark.FAIL
    assert "--home" in line.text


@pytest.mark.parametrize(
    ("data", "alive", "mark", "said"),
    [
        (OLD, True, Mark.OK, "alive on port"),
        (OLD, False, Mark.FAIL, "no way back"),
        (None, False, Mark.WARN, "the gateway without the old proxy"),
        (b'{"gatewayEnabled": false}', False, Mark.WARN, "no way for any client"),
    ],
)
def test_way_back_has_to_be_alive(
    context: Context, closed_port: int, data: bytes | None, alive: bool, mark: Mark, said: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as served:
        told(context, proxy_port=served.getsockname()[1] if alive else closed_port)
        line = only(look.check_way_back(inputs_of(context, data), context))
    assert (line.mark, said in line.text) == (mark, True), line.text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("proxy_enabled = true\n", "proxy_enabled is read from here, too"),
        ("gatewayEnabled = true\nproxy_enabled = true\n", "gatewayEnabled, proxy_enabled"),
        ("proxy_enabled = \n", "not valid TOML"),
        ("port = 3000\n", None),
    ],
)
def test_switches_in_the_originals_file_are_refused(
    context: Context, text: str, said: str | None
) -> None:
    (context.instance.home / "config.toml").write_text(text)
    lines = look.check_files(inputs_of(context, OLD), context)
    assert [line.mark for line in lines] == ([] if said is None else [Mark.FAIL])
    assert said is None or said in lines[0].text


def test_faults_of_the_files_are_told_with_their_line(context: Context) -> None:
    lines = look.check_files(inputs_of(context, b'{\n"gatewayEnabled": 1}'), context)
    assert only(lines).mark is Mark.FAIL
    assert "daemon-config.json:2" in only(lines).text


@pytest.mark.parametrize(
    ("cutover", "demo", "said"),
    [
        (Cutover(phase=1), False, [(Mark.OK, "at most 66 streams")]),
        (
            Cutover(phase=2),
            False,
            [(Mark.OK, "held first"), (Mark.WARN, "no --baseline"), (Mark.OK, "billed")],
        ),
        (
            Cutover(phase=2, validated="gc-1", streams=0),
            True,
            [(Mark.OK, "in run gc-1"), (Mark.NOT_APPLICABLE, "demo"), (Mark.WARN, "--streams 0")],
        ),
        (
            Cutover(phase=2, baseline="/no/such"),
            False,
            [(Mark.OK, "held"), (Mark.FAIL, "/no/such"), (Mark.OK, "streams")],
        ),
    ],
)
def test_gates_say_what_they_can_lean_on(
    context: Context, cutover: Cutover, demo: bool, said: list[tuple[Mark, str]]
) -> None:
    inputs = inputs_of(context, OLD, cutover)
    inputs = replace(inputs, instance=replace(inputs.instance, demo=demo))
    lines = look.check_gate(inputs, context)
    assert [line.mark for line in lines] == [mark for mark, _ in said]
    assert all(words in line.text for line, (_, words) in zip(lines, said, strict=True))


def test_baseline_that_is_one_is_told_and_another_file_refused(
    context: Context, tmp_path: Path
) -> None:
    path = tmp_path / "baseline.json"
    inputs = inputs_of(context, OLD, Cutover(phase=2, baseline=str(path)))
    path.write_bytes(Baseline("2026-01-01T00:00:00Z", "http://127.0.0.1:1", Pace()).encoded())
    marks = {Mark.OK: look.check_gate(inputs, context)[1]}
    path.write_bytes(b"{}")
    marks[Mark.FAIL] = look.check_gate(inputs, context)[1]
    assert {mark: line.mark for mark, line in marks.items()} == {one: one for one in marks}


def test_key_that_is_not_there_fails(context: Context) -> None:
    inputs = inputs_of(context, OLD, Cutover(phase=1))
    inputs = replace(inputs, verification=Verification(credential="env:NO_SUCH_KEY_HERE"))
    line = only(look.check_gate(inputs, context))
    assert (line.mark, "--key" in line.text) == (Mark.FAIL, True)
