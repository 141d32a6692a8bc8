"""Is the plan's configuration the one that serves? Every worker counts."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from cco_migrate.checks.loaded import ConfigurationLoaded
from cco_migrate.config import ConfigName, fingerprint
from cco_migrate.context import Context
from cco_migrate.model import Step
from cco_migrate.verdict import Verdict

CHECK = ConfigurationLoaded()
STEP = Step(
    8, "proof", "proof", "config.loaded",
    {"overrides_enabled": True, "override_rules": 3, "fingerprint": "new"},
)  # fmt: skip
GOOD: Mapping[str, object] = {
    "status": "ok", "overrides_enabled": True, "override_rules": 3, "fingerprint": "new",
    "expected": "new", "workers": ["new"] * 8,
}  # fmt: skip


@pytest.mark.parametrize(
    ("facts", "verdict", "said"),
    [
        (GOOD, Verdict.GO, "8 of 8 workers report new = plan; overrides_enabled: true"),
        ({**GOOD, "workers": ["new"] * 7 + ["old"]}, Verdict.NO_GO, "7 of 8 workers report new"),
        ({**GOOD, "workers": []}, Verdict.NO_GO, "0 of 0 workers"),
        ({**GOOD, "workers": None}, Verdict.GO, "1 of 1 workers report new"),
        ({**GOOD, "workers": None, "fingerprint": "old"}, Verdict.NO_GO, "0 of 1 workers"),
        (
            {**GOOD, "overrides_enabled": False},
            Verdict.NO_GO,
            "/health says overrides_enabled: false, the file says true: "
            "the running process ignores the edit",
        ),
        ({**GOOD, "overrides_enabled": None}, Verdict.INCONCLUSIVE, "does not say"),
        (
            {**GOOD, "workers": None, "fingerprint": None},
            Verdict.GO,
            "overrides_enabled: true, 3 rules; assumed from /health",
        ),
        (
            {**GOOD, "workers": None, "fingerprint": None, "override_rules": 2},
            Verdict.NO_GO,
            "/health says 2 rules, the file has 3",
        ),
        ({"unmeasured": "nobody answers"}, Verdict.NO_GO, "nobody answers"),
    ],
)
def test_judge(facts: Mapping[str, object], verdict: Verdict, said: str) -> None:
    judgement = CHECK.judge(STEP, facts)
    assert judgement.verdict is verdict
    assert said in judgement.summary
    assert judgement.check == "proof"


def test_measure_reads_health_and_every_serving_worker(
    serve: Callable[[Callable[[str, str, bytes], tuple[int, dict[str, str], bytes]]], str],
    context_at: Callable[[str], Context],
) -> None:
    states = ["serving", "serving", "draining"]
    workers = [
        {"slot": n, "generation": 1, "boot_id": "b", "fingerprint": f"f{n}", "state": state}
        for n, state in enumerate(states)
    ]
    health = {"status": "ok", "overrides_enabled": True, "override_rules": 3}
    rows = {"/health": health, "/gateway/workers": {"workers": workers}}

    def script(_method: str, target: str, _body: bytes) -> tuple[int, dict[str, str], bytes]:
        return 200, {}, json.dumps(rows[target]).encode()

    context = context_at(serve(script))
    assert CHECK.prepare(STEP, context) == {}
    assert CHECK.measure(STEP, {}, context) == {
        "expected": "new", "status": "ok", "overrides_enabled": True, "override_rules": 3,
        "fingerprint": None, "workers": ["f0", "f1"],
    }  # fmt: skip
    back = replace(STEP, params={**STEP.params, "fingerprint": None})
    context.instance.config.write_text("[overrides]\n")
    expected = CHECK.measure(back, {}, context)["expected"]
    assert expected == fingerprint({ConfigName.OVERRIDES: b"[overrides]\n"})


def test_way_back_is_compared_with_the_files_as_they_are() -> None:
    back = replace(STEP, params={**STEP.params, "fingerprint": None})
    assert "8 of 8 workers report new = files" in CHECK.judge(back, GOOD).summary


def test_measure_says_that_nobody_answers(
    context_at: Callable[[str], Context], closed_port: int
) -> None:
    facts = CHECK.measure(STEP, {}, context_at(f"http://127.0.0.1:{closed_port}"))
    assert "does not answer" in str(facts["unmeasured"])
