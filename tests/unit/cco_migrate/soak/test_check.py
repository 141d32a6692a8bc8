"""A soak in three worlds, and through every cut: healthy is GO, quiet is not, lying is NO-GO."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from cco_migrate.soak.probes import count
from cco_migrate.soak.terms import Waiver
from cco_migrate.verdict import Verdict
from tests.unit.cco_migrate.soak.scene import (
    BAKE_S,
    INTERVAL_S,
    Bench,
    Gateway,
    criteria,
    ordered,
)


@pytest.mark.parametrize("overrides", [True, False])
def test_healthy_world_reaches_go_at_the_end_of_the_bake_time(
    bench: Bench, overrides: bool
) -> None:
    """The fingerprint says what is loaded; a cutover may well run with overrides off."""
    bench.gateway.overrides = overrides
    bench.clock.every_minute = lambda _: bench.gateway.serve(10)
    judgement = bench.soak()
    assert judgement.verdict is Verdict.GO, judgement.summary
    assert bench.clock.at >= BAKE_S
    rows: Any = judgement.facts["criteria"]
    counted = {row["id"]: (row["k"], row["n"]) for row in rows}
    assert counted["error-rate"] == counted["streaming-failures"] == (0, 50)
    assert counted["availability"] == (0, 6)
    assert judgement.facts["looks"] == 6
    assert bench.log.closed is not None


def test_quiet_world_is_not_decided_and_never_go(bench: Bench) -> None:
    judgement = bench.soak()
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert judgement.summary.startswith("not decided at its deadline: error-rate: ")


def test_live_view_says_verdict_counts_and_time_to_verdict(bench: Bench) -> None:
    bench.clock.every_minute = lambda _: bench.gateway.serve(10)
    bench.soak()
    first, *lines = bench.waits[2].splitlines()
    assert first == "the bake time"
    (rate,) = [line for line in lines if "streaming-failures" in line]
    assert " ".join(rate.split()) == (
        "INCONCLUSIVE streaming-failures 0/20 23 more requests, about 2m18s"
    )
    assert any(line.startswith("GO") and "config-loaded" in line for line in lines)
    assert bench.waits[-1] == ""


LIES: Mapping[str, tuple[Callable[[Gateway], None], str]] = {
    "another configuration": (lambda g: setattr(g, "fingerprint", "0" * 16), "config-loaded"),
    "requests that fail": (lambda g: g.serve(20, failed=20), "error-rate"),
    "counters that fall": (lambda g: setattr(g, "requests", 1.0), "evidence-integrity"),
    "nobody answers": (lambda g: setattr(g, "up", False), "availability"),
}


@pytest.mark.parametrize("lie", LIES)
def test_lying_world_is_no_go_within_an_interval_of_the_proof(bench: Bench, lie: str) -> None:
    tell, criterion = LIES[lie]

    def minute(number: int) -> None:
        tell(bench.gateway) if number == 3 else bench.gateway.serve(20)

    bench.clock.every_minute = minute
    judgement = bench.soak()
    assert judgement.verdict is Verdict.NO_GO
    assert f"{criterion}: " in judgement.summary
    # Two failing looks prove that it was away; everything else is seen by the next look.
    within_s = 2 * INTERVAL_S if criterion == "availability" else INTERVAL_S
    assert bench.clock.at <= 3 * 60 + within_s + 20


def test_verdict_of_a_proved_fault_stays_whatever_comes_after(bench: Bench) -> None:
    bench.gateway.serve(20, failed=20)
    assert bench.soak().verdict is Verdict.NO_GO
    looks = bench.log.path.read_bytes()
    bench.gateway.serve(10_000)
    assert bench.soak().verdict is Verdict.NO_GO
    assert bench.log.path.read_bytes() == looks


def test_requests_of_the_toolkit_and_of_clients_that_left_are_counted_apart(bench: Bench) -> None:
    def minute(_number: int) -> None:
        bench.gateway.serve(10)
        bench.gateway.serve(10, failed=10, client="claude-cli (cco-migrate verification)")
        bench.gateway.serve(10, left=1)

    bench.clock.every_minute = minute
    judgement = bench.soak()
    assert judgement.verdict is Verdict.GO, judgement.summary
    statistics: Any = judgement.facts["statistics"]
    assert statistics["rates"]["error-rate"] | {"through": None} == {
        "k": 0, "n": 95, "aborted": 5, "through": None, "design_effect": 1.0,
    }  # fmt: skip


# Status, model that was asked for and answered, and how such a request counts: k, n, aborted.
REFUSALS: Mapping[str, tuple[int, str | None, str | None, tuple[int, int, int]]] = {
    "served": (200, "m", "m", (0, 1, 0)),
    "the client left": (499, "m", "new", (0, 0, 1)),
    "malformed, and the change left it alone": (400, "m", "m", (0, 0, 1)),
    "so malformed that it names no model": (400, None, None, (0, 0, 1)),
    "sent too slowly to be read": (408, None, None, (0, 0, 1)),
    "in a version that nobody speaks": (505, None, None, (0, 0, 1)),
    "no room to read it": (503, None, None, (1, 1, 0)),
    "too slow for the provider": (408, "m", "m", (1, 1, 0)),
    "refused by the model the change chose": (400, "m", "new", (1, 1, 0)),
    "unknown to the provider the change chose": (404, "m", "new", (1, 1, 0)),
    "nowhere to send it to": (404, "m", None, (1, 1, 0)),
    "credential of the client's own": (401, "m", "new", (0, 0, 1)),
    "too many requests": (429, "m", "m", (1, 1, 0)),
    "overloaded": (529, "m", "m", (1, 1, 0)),
    "a stream that broke": (200, "m", "new", (1, 1, 0)),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_only_what_the_change_may_have_caused_counts_as_a_failure(case: str) -> None:
    status, requested, model, expected = REFUSALS[case]
    success = status == 200 and case != "a stream that broke"
    row = {"status": status, "success": success, "stream": True, "endpoint": "messages"}
    tallies = count([{**row, "requested_model": requested, "model": model}])
    for name in ("error-rate", "streaming-failures"):
        assert (tallies[name].k, tallies[name].n, tallies[name].aborted) == expected


def test_refusal_whose_record_names_no_models_counts_as_a_failure() -> None:
    row = {"status": 400, "success": False, "stream": False}
    assert count([row])["error-rate"].k == 1


def test_restart_of_the_gateway_begins_the_evidence_anew(bench: Bench) -> None:
    def minute(number: int) -> None:
        if number == 3:
            bench.gateway.boot, bench.gateway.requests = "boot-2", 0.0
        bench.gateway.serve(30)

    bench.clock.every_minute = minute
    judgement = bench.soak()
    statistics: Any = judgement.facts["statistics"]
    assert statistics["rates"]["error-rate"]["n"] == 60
    assert judgement.verdict is Verdict.GO, judgement.summary


def test_gateway_without_audit_is_not_decided_and_says_why(bench: Bench) -> None:
    bench.gateway.audited = False
    judgement = bench.soak()
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "error-rate: not measured: /gateway/audit keeps no records" in judgement.summary


def test_waived_criterion_is_observed_and_says_by_whom(bench: Bench) -> None:
    waivers = [Waiver(name, "ops@host", "no clients yet") for name in (
        "error-rate", "streaming-failures",
    )]  # fmt: skip
    bench.step = ordered(criteria(), *waivers)
    judgement = bench.soak()
    assert judgement.verdict is Verdict.GO, judgement.summary
    rows: Any = judgement.facts["criteria"]
    (row,) = [row for row in rows if row["id"] == "error-rate"]
    assert (row["verdict"], row["enforced"]) == ("INCONCLUSIVE", False)
    assert row["waived"] == "waived: error-rate, by ops@host: no clients yet"
