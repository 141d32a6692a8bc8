"""Where the launcher leads a client: what its environment proves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from cco_migrate.checks.launcher import BASE_URL, LauncherLeads
from cco_migrate.context import Context
from cco_migrate.model import JsonObject, Step
from cco_migrate.verdict import Verdict
from cco_migrate.world import Processes

URL = "http://127.0.0.1:3000"
GATEWAY = {BASE_URL: URL}
OLD = "http://127.0.0.1:9"
GO, NO_GO = Verdict.GO, Verdict.NO_GO


def step(to: str) -> Step:
    return Step(10, "launcher", "launcher", "launcher.leads", {"to": to})


@pytest.mark.parametrize(
    ("to", "environment", "verdict", "said"),
    [
        ("gateway", GATEWAY, GO, "a left-over proxy variable removed"),
        ("gateway", {**GATEWAY, "https_proxy": "http://proxy.example:8080"}, GO, URL),
        ("gateway", {**GATEWAY, "https_proxy": "http://proxy.example:none"}, GO, URL),
        ("gateway", {**GATEWAY, "HTTPS_PROXY": OLD}, NO_GO, "HTTPS_PROXY still lead"),
        ("gateway", {BASE_URL: "http://127.0.0.1:4000"}, NO_GO, "is http://127.0.0.1:4000"),
        ("gateway", {}, NO_GO, "not set"),
        ("proxy", {"HTTPS_PROXY": OLD}, GO, f"HTTPS_PROXY={OLD}"),
        ("proxy", {"HTTPS_PROXY": OLD, BASE_URL: URL}, NO_GO, "still leads to the gateway"),
        ("proxy", {}, NO_GO, "not set"),
    ],
)
def test_environment_of_the_client_is_judged(
    to: str, environment: JsonObject, verdict: Verdict, said: str
) -> None:
    facts = {"old_proxy_port": 9, "proxy_port": 9, "url": URL, "environment": environment}
    judged = LauncherLeads().judge(step(to), facts)
    assert judged.verdict is verdict
    assert said in judged.summary


def test_launcher_without_a_daemon_refuses_in_its_own_words(
    context_at: Callable[[str], Context], closed_port: int
) -> None:
    context = context_at(f"http://127.0.0.1:{closed_port}")
    check = LauncherLeads()
    receipt = check.prepare(step("gateway"), context)
    judged = check.judge(step("gateway"), check.measure(step("gateway"), receipt, context))
    assert judged.verdict is NO_GO
    assert "the launcher refuses clients" in judged.summary
    assert "LLM Gateway not available" in judged.summary


def test_password_of_a_proxy_is_not_among_the_facts(
    context_at: Callable[[str], Context], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client is launched by a stand-in that passes its environment on."""
    context, check = context_at(URL), LauncherLeads()
    monkeypatch.setenv("ALL_PROXY", "http://ann:pass-word@proxy.example:8080/x")

    class Launcher(Processes):
        def python_module(self, *arguments: str) -> list[str]:
            launcher = [*super().python_module(*arguments)]
            return [launcher[0], "-c", "import os, sys; os.execvp(sys.argv[2], sys.argv[2:])"]

    world = replace(context.world, processes=Launcher())
    facts = check.measure(step("gateway"), {"old_proxy_port": 9}, replace(context, world=world))
    assert facts["environment"]["ALL_PROXY"] == "http://proxy.example:8080"
    assert facts["environment"]["HTTPS_PROXY"] == OLD
    assert "pass-word" not in str(facts)


def test_client_that_could_not_be_launched_proves_nothing() -> None:
    judged = LauncherLeads().judge(step("gateway"), {"unmeasured": "it did not end in time"})
    assert judged.verdict is Verdict.INCONCLUSIVE
