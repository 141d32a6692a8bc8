"""Whether the launcher divides clients: judged by its draws, against a launcher on disk too."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import psutil
import pytest

from cco_migrate.checks.canary import SESSIONS, LauncherDivides
from cco_migrate.checks.launcher import BASE_URL
from cco_migrate.context import Context
from cco_migrate.model import JsonObject, Step
from cco_migrate.verdict import Verdict
from cco_migrate.world import Finished, Processes

GO, NO_GO, INCONCLUSIVE = Verdict.GO, Verdict.NO_GO, Verdict.INCONCLUSIVE
URL, PROXY = "http://127.0.0.1:3000", "http://127.0.0.1:9"
FACTS = {"old_proxy_port": None, "proxy_port": 9, "url": URL}
TO_GATEWAY = {**FACTS, "to": "gateway", "session": "1", "environment": {BASE_URL: URL}}
TO_PROXY = {**FACTS, "to": "proxy", "session": "2", "environment": {"HTTPS_PROXY": PROXY}}
BOTH = [TO_GATEWAY, TO_PROXY]
ASTRAY = {**TO_GATEWAY, "environment": {"HTTPS_PROXY": PROXY}}


def step(share: int) -> Step:
    return Step(3, "canary-launcher", "launcher", "launcher.divides", {"share": share})


@pytest.mark.parametrize(
    ("share", "facts", "verdict", "said"),
    [
        (25, {"asked": 1000, "gateway": 231, "launches": BOTH}, GO, "231 of 1000 sessions"),
        (25, {"asked": 1000, "gateway": 332, "launches": BOTH}, GO, "the share is 25%"),
        (25, {"asked": 1000, "gateway": 333, "launches": BOTH}, NO_GO, "that is no chance"),
        (25, {"asked": 1000, "gateway": 167, "launches": BOTH}, NO_GO, "that is no chance"),
        (5, {"asked": 1000, "gateway": 1000, "launches": [TO_GATEWAY]}, NO_GO, "no chance"),
        (50, {"asked": 1000, "gateway": 0, "launches": [TO_PROXY]}, NO_GO, "no chance"),
        (100, {"asked": 1000, "gateway": 1000, "launches": [TO_GATEWAY]}, GO, "launched: gateway"),
        (100, {"asked": 1000, "gateway": 999, "launches": [TO_GATEWAY]}, NO_GO, "no chance"),
        (0, {"asked": 1000, "gateway": 0, "launches": [TO_PROXY]}, GO, "launched: proxy"),
        (50, {"asked": 1000, "gateway": 500, "launches": [ASTRAY, TO_PROXY]}, NO_GO,
         f"a session drawn for the gateway: {BASE_URL} is not set"),
        (50, {"asked": 1000, "gateway": 500, "launches": [TO_GATEWAY, {**TO_PROXY, **ASTRAY,
         "to": "proxy", "environment": {BASE_URL: URL}}]}, NO_GO, "a session drawn for the proxy"),
        (50, {"asked": 1000, "gateway": 500,
         "launches": [{"to": "gateway", "unmeasured": "late"}]}, INCONCLUSIVE, "late"),
        (50, {"refused": "no canary: launches are not divided"}, NO_GO, "launches are not divided"),
        (50, {"unmeasured": "it did not end in time"}, INCONCLUSIVE, "did not end in time"),
    ],
)  # fmt: skip
def test_outcome_of_the_draw_is_judged(
    share: int, facts: JsonObject, verdict: Verdict, said: str
) -> None:
    judged = LauncherDivides().judge(step(share), facts)
    assert judged.verdict is verdict, judged.summary
    assert said in judged.summary


@pytest.fixture
def context(context_at: Callable[[str], Context]) -> Context:
    """An instance whose daemon, as its record says, is this process, without any port."""
    context = context_at(URL)
    started = datetime.fromtimestamp(psutil.Process().create_time(), UTC)
    row = {"pid": os.getpid(), "started_at": started.isoformat(), "port": 1, "version": "1"}
    (context.instance.home / "daemon.pid").write_text(json.dumps(row))
    return context


def configure(context: Context, **document: Any) -> None:
    path = context.instance.config_dir / "daemon-config.json"
    path.write_text(json.dumps(document))


@pytest.mark.parametrize("share", [0, 1, 50])
def test_real_launcher_is_asked_until_each_way_has_a_session(context: Context, share: int) -> None:
    configure(context, gatewayEnabled=True, proxyEnabled=True, gatewayShare=share)
    launches: list[list[str]] = []

    class Drawing(Processes):
        """Draws for real; nothing is there to launch a client with."""

        def run(self, command: Any, timeout_s: float) -> Finished:
            if "launch" in command:
                launches.append(list(command))
                return Finished(1, "refused")
            return super().run(command, timeout_s)

    world = replace(context.world, processes=Drawing())
    facts = LauncherDivides().measure(step(share), {"old_proxy_port": None},
                                      replace(context, world=world))  # fmt: skip
    assert facts["asked"] >= SESSIONS
    assert [one["to"] for one in facts["launches"]] == (["proxy"] if not share else
                                                        ["gateway", "proxy"])  # fmt: skip
    for one, command in zip(facts["launches"], launches, strict=True):
        assert command[-1] == f"--session-id={one['session']}"
    counted = {**facts, "launches": []}
    assert LauncherDivides().judge(step(share), counted).verdict is GO


def test_launcher_that_reads_no_share_is_no_go(context: Context) -> None:
    configure(context, gatewayEnabled=True, proxyEnabled=False, gatewayShare=50)
    facts = LauncherDivides().measure(step(50), {"old_proxy_port": None}, context)
    judged = LauncherDivides().judge(step(50), facts)
    assert judged.verdict is NO_GO
    assert "no canary: launches are not divided" in judged.summary
