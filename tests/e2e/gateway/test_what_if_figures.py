"""What-if's figures of real answers: costs on their terms, prompt caches, peaks against limits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.gateway.in_process import MESSAGES, Gateway, before_one, run
from tests.e2e.gateway.scripted import Answer, Json, answering

OPUS, SONNET, HAIKU = "claude-opus-4-6", "claude-sonnet-4-6", "claude-haiku-4-5-20251001"
LIMITS = (
    (b"anthropic-ratelimit-requests-limit", b"50"),
    (b"anthropic-ratelimit-input-tokens-limit", b"30000"),
)


def said(usage: Json, model: str = OPUS) -> Answer:
    message = {"type": "message", "model": model, "content": [], "usage": usage}
    return Answer(body=json.dumps(message).encode(), headers=LIMITS)


async def talk(gateway: Gateway, turns: int = 1, session: str | None = None) -> None:
    """Ask so many times; return when all that was asked is recorded."""
    sent = {b"x-api-key": b"sk-ant-client-0123456789"}
    if session is not None:
        sent[b"x-claude-code-session-id"] = session.encode()
    body = {"model": OPUS, "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
    for _ in range(turns):
        assert (await gateway.post(body, MESSAGES, sent)).status == 200
    await gateway.audit(len(gateway.provider.seen))


async def tried(gateway: Gateway, target: str, **more: Json) -> Json:
    question = {"overrides": {"rules": [[OPUS, target]]}, **more}
    body = json.dumps(question).encode()
    reply = await gateway.call("POST", "/gateway/what-if", body, gateway.admin)
    assert reply.status == 200, reply.body
    return reply.json()


PLAIN = {"input_tokens": 10_000, "output_tokens": 2000}
HOUR = {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 150_000}
WRITTEN = {"input_tokens": 0, "output_tokens": 0, "cache_creation_input_tokens": 150_000}
READ = {"input_tokens": 0, "output_tokens": 1000, "cache_read_input_tokens": 150_000}


@pytest.mark.parametrize(
    ("usage", "now", "then"),
    [
        (PLAIN, 0.1, 0.06),
        ({**PLAIN, "inference_geo": "us"}, 0.11, 0.066),
        # Of searches it is not recorded how many there were, nor is it known what fast answers of
        # the other model would cost: such a request is in neither sum.
        ({**PLAIN, "server_tool_use": {"web_search_requests": 5}}, 0, 0),
        ({**PLAIN, "speed": "fast"}, 0, 0),
    ],
    ids=["plain", "region", "searches", "fast"],
)
def test_both_costs_are_those_of_the_answers_terms(
    tmp_path: Path, usage: Json, now: float, then: float
) -> None:
    async def scenario(gateway: Gateway) -> None:
        await talk(gateway)
        cost = (await tried(gateway, SONNET))["cost"]
        found = (cost["priced"], cost["now_usd"], cost["then_usd"])
        assert found == (int(now > 0), pytest.approx(now), pytest.approx(then))

    run(tmp_path, before_one(answering(said(usage))), scenario)


@pytest.mark.parametrize(
    ("creation", "switching", "then"),
    [
        ({}, 150_000 * (1.25 - 0.5) / 1e6, 0.1925),
        ({"cache_creation": HOUR}, 150_000 * (2 - 0.5) / 1e6, 0.305),
    ],
    ids=["five-minutes", "an-hour"],
)
def test_prompt_kept_for_an_hour_is_written_again_for_an_hour(
    tmp_path: Path, creation: Json, switching: float, then: float
) -> None:
    answers = (said({**WRITTEN, **creation}), said(READ))

    async def scenario(gateway: Gateway) -> None:
        await talk(gateway, session="s")
        begun = (await gateway.audit())[0]["timestamp"]
        await talk(gateway, turns=2, session="s")
        found = await tried(gateway, HAIKU)
        live = found["live_sessions"]
        assert (live["conversations"], live["switched"]) == (1, 1)
        assert live["switching_cost_usd"] == pytest.approx(switching)
        # The window of the later turns begins in a conversation that has begun before.
        later = await tried(gateway, HAIKU, limit=2)
        assert later["window"]["start_time"] > begun
        assert later["cost"]["then_usd"] == pytest.approx(then + 0.02)

    run(tmp_path, before_one(answering(*answers)), scenario)


def test_peak_minutes_stand_beside_the_limits_last_named(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        await talk(gateway, turns=3)
        found = await tried(gateway, SONNET)
        (peak,) = found["peak_minutes"]
        assert (peak["provider"], peak["model"], peak["limits"]) == ("anthropic", SONNET, None)
        kept = await tried(gateway, SONNET, rollout={"percent": 0})
        (peak,) = kept["peak_minutes"]
        assert peak["limits"] == {"requests": 50, "input_tokens": 30_000}
        minutes = {entry["timestamp"][:16] for entry in await gateway.audit(3)}
        if len(minutes) == 1:  # else the minute ended among them
            assert (peak["requests"], peak["input_tokens"]) == (3, 30_000)
            assert peak["output_tokens"] == 6000

    run(tmp_path, before_one(answering(said(PLAIN))), scenario)


@pytest.mark.parametrize("body", [b'{"\xff": 1}', b"{", b"[" * 100_000, b'"\\ud800"', b"null"])
def test_bytes_that_are_no_question_are_refused(tmp_path: Path, body: bytes) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.call("POST", "/gateway/what-if", body, gateway.admin)
        assert (reply.status, reply.json()["type"]) == (400, "error")

    run(tmp_path, before_one(answering(said(PLAIN))), scenario)


def test_time_may_be_written_in_small_letters(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        await talk(gateway)
        for start, total in (("2026-01-01t00:00:00z", 1), ("2999-01-01t00:00:00.5z", 0)):
            page = await gateway.get(f"/gateway/audit?start_time={start}")
            assert page["total"] == total
            found = await tried(gateway, SONNET, start_time=start)
            assert found["window"]["requests"] == total

    run(tmp_path, before_one(answering(said(PLAIN))), scenario)
