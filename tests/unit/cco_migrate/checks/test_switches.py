"""Which way clients take: the switches of the file against the ports the daemon tells."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from cco_migrate.checks.daemon_record import DaemonRecord, Switches, read_record
from cco_migrate.checks.switches import SwitchesInForce, SwitchesState, faults_of
from cco_migrate.context import Context
from cco_migrate.model import Instance, JsonObject, Step
from cco_migrate.verdict import Verdict
from cco_migrate.world import Clock


class Hasty(Clock):
    """A clock for whom one look is enough."""

    def wait_until(self, done: Callable[[], bool], timeout_s: float, every_s: float = 0.05) -> bool:
        return done()


@pytest.fixture
def context(context_at: Callable[[str], Context]) -> Context:
    made = context_at("http://127.0.0.1:3000")
    return replace(made, world=replace(made.world, clock=Hasty()))


@pytest.fixture
def served() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def step(gateway: bool, proxy: bool) -> Step:
    return Step(9, "routes", "ports", "switches.in-force", {"gateway": gateway, "proxy": proxy})


def told(context: Context, data: object) -> None:
    text = data if isinstance(data, str) else json.dumps(data)
    (context.instance.home / "daemon.pid").write_text(text)


@pytest.mark.parametrize(
    ("data", "record"),
    [
        ({"port": 1, "gateway_port": 2, "proxy_port": 3}, DaemonRecord(1, 2, 3)),
        ({"port": 1, "gateway_port": 0, "proxy_port": None}, DaemonRecord(1, None, None)),
        ({"port": True, "gateway_port": "2"}, DaemonRecord(None, None, None)),
        ('{"port": 1, "gatew', None),
        ([], None),
    ],
)
def test_record_is_read_and_a_port_of_zero_is_none(
    context: Context, data: object, record: DaemonRecord | None
) -> None:
    told(context, data)
    assert read_record(context) == record


def test_daemon_without_a_record_is_not_measured(context: Context) -> None:
    check = SwitchesInForce()
    judged = check.judge(step(True, False), check.measure(step(True, False), {}, context))
    assert judged.verdict is Verdict.INCONCLUSIVE
    assert "daemon.pid names no daemon" in judged.summary


@pytest.mark.parametrize(
    ("wanted", "record", "said"),
    [
        (step(True, False), DaemonRecord(3000, 3000, None), ()),
        (step(False, True), DaemonRecord(3000, None, 9), ()),
        (step(True, False), DaemonRecord(3000, None, None), ("ignores gatewayEnabled",)),
        (step(True, False), DaemonRecord(3000, 3000, 9), ("still has the old proxy on port 9",)),
        (step(True, True), DaemonRecord(3000, 3000, None), ("does not serve",)),
        (step(True, False), DaemonRecord(3000, 4000, None), ("3000 is its `port`",)),
        (step(True, False), DaemonRecord(5000, 4000, None), ("about port 3000",)),
        (step(False, True), DaemonRecord(3000, 3000, None), ("still sends", "does not serve")),
        (step(True, False), None, ("names no daemon",)),
    ],
)
def test_record_that_contradicts_the_switches_is_told(
    instance_at: Callable[[str], Instance],
    wanted: Step,
    record: DaemonRecord | None,
    said: tuple[str, ...],
) -> None:
    faults = faults_of(record, wanted, instance_at("http://127.0.0.1:3000"))
    assert len(faults) == len(said)
    assert all(words in fault for words, fault in zip(said, faults, strict=True))


@pytest.mark.parametrize("listens", [True, False])
def test_proxy_of_the_record_has_to_accept_connections(
    context: Context, served: int, closed_port: int, listens: bool
) -> None:
    port = served if listens else closed_port
    told(context, {"port": 3000, "gateway_port": 3000, "proxy_port": port})
    check, wanted = SwitchesInForce(), step(True, True)
    judged = check.judge(wanted, check.measure(wanted, {}, context))
    assert judged.verdict is (Verdict.GO if listens else Verdict.NO_GO)
    assert str(port) in judged.summary


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({}, "gatewayEnabled true, proxyEnabled false"),
        (
            {"gatewayEnabled": False, "proxyEnabled": True},
            "gatewayEnabled false, proxyEnabled true",
        ),
    ],
)
def test_switches_have_their_defaults(document: JsonObject, text: str) -> None:
    assert str(Switches.of(document)) == text


def test_state_shows_file_and_record(
    context: Context, serve: Callable[..., str], context_at: Callable[[str], Context]
) -> None:
    url = serve(lambda *_: (200, {}, b'{"status": "ok"}'))
    context = context_at(url)
    (context.instance.config_dir / "daemon-config.json").write_bytes(b'{"proxy_enabled": true}')
    told(context, {"port": 1, "gateway_port": 1, "proxy_port": 9})
    shown = Step(2, "state", "current state", "switches.state")
    check = SwitchesState()
    judged = check.judge(shown, check.measure(shown, {}, context))
    assert judged.verdict is Verdict.GO
    assert "file: gatewayEnabled true, proxyEnabled true" in judged.summary
    assert "gateway port 1, proxy port 9" in judged.summary


def test_state_of_a_daemon_that_does_not_answer_is_not_proved(context: Context) -> None:
    shown = Step(2, "state", "current state", "switches.state")
    check = SwitchesState()
    judged = check.judge(shown, check.measure(shown, {}, context))
    assert judged.verdict is Verdict.INCONCLUSIVE
    assert judged.summary.startswith("no file: gatewayEnabled true")
