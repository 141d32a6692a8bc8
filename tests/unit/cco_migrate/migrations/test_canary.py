"""The plan of a canary: which lists are shares, which steps each share has, and the way back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from cco_migrate import config
from cco_migrate.checks import CHECKS
from cco_migrate.checks.daemon_record import Switches
from cco_migrate.config import ConfigName
from cco_migrate.criteria import CRITERIA
from cco_migrate.engine import SOAK
from cco_migrate.errors import InvalidInput
from cco_migrate.migrations import MIGRATIONS, Inputs
from cco_migrate.migrations.canary import parse_shares
from cco_migrate.migrations.gateway_cutover import KIND
from cco_migrate.migrations.guide import guide_of
from cco_migrate.migrations.guide.gateway_cutover import CANARY
from cco_migrate.migrations.inputs import Canary, Cutover, Verification
from cco_migrate.model import Instance, Plan
from cco_migrate.planning.preflight import planned_files
from cco_migrate.soak.terms import Offer, Soak, make_soak
from cco_migrate.steps import ACTIONS

OLD = b'{\n  "gatewayEnabled": false,\n  "proxyEnabled": true\n}\n'
OWN = (
    "switch", "validate", "stop", "restart", "proof", "routes", "launcher",
)  # fmt: skip


def soak() -> Soak:
    return make_soak(1800, None, "rollback", CRITERIA, (), Offer())


@pytest.fixture
def inputs(instance_at: Callable[[str], Instance]) -> Inputs:
    files = dict.fromkeys(ConfigName, None) | {ConfigName.DAEMON: OLD}
    return Inputs(
        instance_at("http://127.0.0.1:3000"), files, fix=False, replace=True, known_models=(),
        verification=Verification(), cutover=Cutover(phase=2),
    )  # fmt: skip


def made(inputs: Inputs, *shares: int, data: bytes | None = OLD, standby: bool = False) -> Plan:
    canary = Canary(shares, soak()) if shares else None
    cutover = replace(inputs.cutover, canary=canary, standby=standby)
    files = {**inputs.files, ConfigName.DAEMON: data}
    return MIGRATIONS[KIND](replace(inputs, files=files, cutover=cutover))


@pytest.mark.parametrize(
    ("text", "shares"), [("5", (5,)), ("5,25,50", (5, 25, 50)), (" 1 , 100", (1, 100))]
)
def test_rising_percentages_are_shares(text: str, shares: tuple[int, ...]) -> None:
    assert parse_shares(text) == shares


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0,5", "0 is no share from 1 to 100"),
        ("5,101", "101 is no share from 1 to 100"),
        ("5,x", "x is no whole number"),
        ("5,-1", "-1 is no whole number"),
        ("2.5", "2.5 is no whole number"),
        ("²", "² is no whole number"),
        ("5,", "an empty place is no whole number"),
        ("", "an empty place"),
        ("5,5", "5 does not rise above 5"),
        ("25,5", "5 does not rise above 25"),
    ],
)
def test_other_lists_are_refused_with_the_reason(text: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=f"--canary .*{said}"):
        parse_shares(text)


@pytest.mark.parametrize("swap", [True, False])
def test_each_share_has_every_step_before_the_soft_cutover(inputs: Inputs, swap: bool) -> None:
    asked = replace(inputs, replace=swap)
    plan, plain = made(asked, 5, 50), made(asked)
    ids = [step.id for step in plan.steps]
    stages = [f"canary-{share}{name}" for share in (5, 50)
              for name in (*(f"-{own}" for own in OWN), "")]  # fmt: skip
    without = [step.id for step in plain.steps]
    at = without.index("switch")
    assert ids == [*without[:at], *stages, *without[at:]]
    known = ACTIONS.keys() | CHECKS.keys() | SOAK.keys()
    assert {step.uses for step in plan.steps} <= known
    assert len(set(ids)) == len(ids)
    assert all(guide_of(KIND, step_id) for step_id in ids)
    restart = plan.step("canary-5-restart")
    assert restart.uses == ("service.replace" if swap else "service.start")
    assert plan.step(restart.params["stop"]).uses.startswith("service.")


def test_each_stage_proves_its_own_files_and_all_end_in_those_of_the_soft_cutover(
    inputs: Inputs,
) -> None:
    plan, data = made(inputs, 5, 50), OLD
    for share in (5, 50):
        data = OLD.replace(b"false", b"true").replace(b"\n}", b',\n  "gatewayShare": %d\n}' % share)
        mark = config.fingerprint({**inputs.files, ConfigName.DAEMON: data})
        assert plan.step(f"canary-{share}-proof").params["fingerprint"] == mark
        assert plan.step(f"canary-{share}").params["fingerprint"] == mark
        assert plan.step(f"canary-{share}-launcher").params == {"share": share}
        assert plan.step(f"canary-{share}-routes").params == {"gateway": True, "proxy": True}
    assert planned_files(plan, inputs)[ConfigName.DAEMON] == (
        b'{\n  "gatewayEnabled": true,\n  "proxyEnabled": false\n}\n'
    )
    plain = made(inputs)
    assert plan.fingerprint_after == plain.fingerprint_after
    assert plan.step("proof").params == plain.step("proof").params
    assert plan.way_back == plain.way_back
    assert [change.why for change in plan.changes] == [
        "canary: 5 % of the launches to the gateway",
        "canary: 50 % of the launches to the gateway",
        "send clients to the gateway",
    ]
    assert any(note.startswith("canary: 5 %, 50 %") for note in plan.notes)
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))).digest == plan.digest


def test_standby_keeps_the_proxy_and_ends_the_share(inputs: Inputs) -> None:
    after = planned_files(made(inputs, 5, standby=True), inputs)[ConfigName.DAEMON]
    assert json.loads(after or b"") == {"gatewayEnabled": True, "proxyEnabled": True}


@pytest.mark.parametrize("data", [None, b'{"gatewayEnabled": true, "proxyEnabled": false}'])
def test_finished_cutover_has_no_stages_left(inputs: Inputs, data: bytes | None) -> None:
    assert made(inputs, 5, 50, data=data).changes == ()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'{"gatewayEnabled": false}', "no old path"),
        (b'{"proxyEnabled": true}', "100 % of the launches go to the gateway already"),
        (b'{"proxyEnabled": true, "gatewayShare": 5}', "5 % .*gatewayShare 5"),
        (b'{"proxyEnabled": true, "gatewayShare": 25}', "25 % of the launches"),
    ],
)
def test_stage_that_would_take_clients_back_is_refused(
    inputs: Inputs, data: bytes, said: str
) -> None:
    with pytest.raises(InvalidInput, match=f"--canary 5,50: .*{said}"):
        made(inputs, 5, 50, data=data)


def test_share_of_today_is_where_a_later_canary_goes_on_and_what_its_way_back_proves(
    inputs: Inputs,
) -> None:
    plan = made(inputs, 50, data=b'{"proxyEnabled": true, "gatewayShare": 25}')
    assert plan.step("back-launcher").uses == "launcher.divides"
    assert plan.step("back-launcher").params == {"share": 25}


@pytest.mark.parametrize(
    ("document", "switches", "text"),
    [
        ({"proxyEnabled": True, "gatewayShare": 25}, Switches(True, True, 25),
         "gatewayEnabled true, proxyEnabled true, gatewayShare 25"),
        ({"gatewayShare": 25}, Switches(True, False),
         "gatewayEnabled true, proxyEnabled false"),  # there it has no effect
    ],
)  # fmt: skip
def test_share_counts_where_it_divides(
    document: dict[str, object], switches: Switches, text: str
) -> None:
    assert Switches.of(document) == switches
    assert str(switches) == text


def test_cutover_without_a_canary_ends_a_share_that_it_finds(inputs: Inputs) -> None:
    data = b'{"proxyEnabled": true, "gatewayShare": 25}'
    plan = made(inputs, data=data)
    files = {**inputs.files, ConfigName.DAEMON: data}
    after = planned_files(plan, replace(inputs, files=files))[ConfigName.DAEMON]
    assert json.loads(after or b"") == {"proxyEnabled": False, "gatewayEnabled": True}


def test_guide_knows_every_step_of_a_share_and_no_other() -> None:
    assert guide_of(KIND, "canary-5") is CANARY["canary"]
    assert guide_of(KIND, "canary-5-launcher") is CANARY["canary-launcher"]
    assert guide_of(KIND, "canary-5-proof") is guide_of(KIND, "proof")
    assert guide_of(KIND, "canary-5-nonsense") is None
    assert guide_of("nonsense", "canary-5-proof") is None
