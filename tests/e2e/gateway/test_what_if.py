"""What-if and savings, held against what the gateway really does, with bodies off."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest

from tests.e2e.gateway.in_process import (
    CHAT,
    COUNT,
    MESSAGES,
    OPENAI,
    OWN_KEY,
    Gateway,
    Setup,
    run,
)
from tests.e2e.gateway.scripted import Answer, Json, answering
from tests.e2e.gateway.spoken import asking
from tests.e2e.gateway.talking import Client, connected, demo_upstream, running

OPUS, SONNET, HAIKU = "claude-opus-4-6", "claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001"
OLD = "claude-3-haiku-20240307"
RULES = [[OPUS, SONNET], [SONNET, HAIKU], ["claude-opus-4-1", OLD]]
AGENT_RULES = {"Explore": HAIKU, "auditor": OLD}
LANES = 8
"""Connections that requests are sent over at once; a session keeps to one of them."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request; its lane is the connection that it is sent over."""

    path: str
    body: Json
    headers: dict[str, str]
    lane: int


def mixed(count: int) -> list[Asked]:
    """Return requests of many shapes, from sessions and sub-agents and from nobody."""
    draw = random.Random(20261121)  # the same requests every time
    return [one_of_many(draw, number) for number in range(count)]


def one_of_many(draw: random.Random, number: int) -> Asked:
    model = draw.choice([OPUS, SONNET, HAIKU, "claude-opus-4-1"])
    body: Json = {"model": model, "max_tokens": draw.choice([1, 500, 9000, 64_000])}
    body["messages"] = [{"role": "user", "content": f"question {number}"}]
    if draw.random() < 0.2:
        body["output_config"] = {"effort": draw.choice(["low", "high", "max"])}
    kind = draw.choice(["adaptive", "disabled", "enabled", None])
    if kind is not None:
        body["thinking"] = {"type": kind}
        if kind == "enabled":
            body["thinking"]["budget_tokens"] = draw.choice([1024, 30_000])
            body["max_tokens"] = 64_000
    if draw.random() < 0.005:
        body["system"] = "x" * 1_200_000  # longer than most models can read
    headers, lane, path = {}, number % LANES, MESSAGES
    if draw.random() < 0.8:
        session = draw.randrange(300)
        headers["x-claude-code-session-id"], lane = f"session-{session}", session % LANES
        if draw.random() < 0.3:
            headers["x-claude-code-agent-id"] = f"agent-{draw.randrange(4)}"
    if draw.random() < 0.3:
        headers["x-agent-type"] = draw.choice(["Explore", "Plan", "auditor"])
    if draw.random() < 0.3:
        headers["anthropic-beta"] = "context-1m-2025-08-07,interleaved-thinking-2025-05-14"
    if draw.random() < 0.3:
        headers["x-project-id"] = draw.choice(["apollo", "gemini"])
    if draw.random() < 0.1:
        path = COUNT
        del body["max_tokens"]
    elif draw.random() < 0.02:
        body["model"] = "no-such-model"  # what its provider refuses has been decided all the same
    elif draw.random() < 0.02:
        body = {"messages": []}  # no model: it is refused before there is anything to decide
    return Asked(path, body, headers, lane)


async def send_all(gateway: Gateway, requests: Sequence[Asked]) -> None:
    """Send each lane's requests one after the other, and all lanes at once."""

    async def send(lane: int) -> None:
        async with connected(gateway) as client:
            for one in requests:
                if one.lane == lane:
                    await client.call("POST", one.path, one.body, one.headers)

    async with asyncio.TaskGroup() as group:
        for lane in range(LANES):
            group.create_task(send(lane))


@pytest.mark.parametrize(
    ("requests", "rollout", "reasons"),
    [
        pytest.param(500, {}, {"context_window"}, id="all"),
        pytest.param(500, {"agents": ["Explore", "main"]}, {"agent_not_selected"}, id="agents"),
        pytest.param(
            5000,
            {"apply_to": "new_sessions", "percent": 60, "holdout_percent": 10},
            {"context_window", "live_session", "not_in_share", "holdout"},
            id="new-sessions-of-a-share",
            marks=pytest.mark.process,
        ),
        pytest.param(500, {"projects": ["apollo"]}, {"project_not_selected"}, id="projects"),
    ],
)
def test_what_if_decides_as_the_live_gateway_did(
    tmp_path: Path, requests: int, rollout: Json, reasons: set[str]
) -> None:
    lines = [f"{name} = {json.dumps(value)}" for name, value in rollout.items()]
    own = "\n".join(["[overrides_rollout]", *lines])
    rules = {"rules": RULES, "agent_rules": AGENT_RULES}

    async def main() -> None:
        async with (
            demo_upstream() as url,
            running(tmp_path, url, rules=RULES, agent_rules=AGENT_RULES, own=own) as client,
        ):
            await send_all(client.gateway, mixed(requests))
            async with connected(client.gateway) as reader:  # an idle connection is closed
                live = await recorded(reader, requests)
                question = {"overrides": rules, "rollout": rollout, "decisions": True}
                found = await reader.what_if(question)
        assert len(live) == requests
        assert found["window"]["requests"] + found["window"]["undecided"] == requests
        decided = {entry["request_id"]: entry for entry in found["decisions"]}
        assert {one: what_was_done(entry) for one, entry in live.items() if entry["model"]} == {
            one: (entry["chosen"], entry["adapted"], entry["skipped"])
            for one, entry in decided.items()
        }
        assert {"effort", "thinking", "max_tokens"} <= found["adapted"].keys()
        assert reasons <= found["skipped"].keys()
        assert found["window"]["undecided"] > 0
        assert all(entry["request_body"] is None for entry in live.values())

    asyncio.run(main())


@pytest.mark.usefixtures("own_keys")
def test_what_if_tells_a_translated_request_from_one_that_goes_as_it_is(tmp_path: Path) -> None:
    effort: Json = {"output_config": {"effort": "high"}}
    asked = [
        (MESSAGES, asking("gpt-4o", **effort, max_tokens=64_000), ["effort", "max_tokens"]),
        (CHAT, asking("gpt-4o", reasoning_effort="high", max_tokens=64_000), []),
        (CHAT, asking("claude-haiku-4-5", reasoning_effort="high"), ["effort"]),
        (MESSAGES, asking("claude-haiku-4-5", **effort), []),
    ]
    sent = [
        {"max_completion_tokens": 16_384},
        {"reasoning_effort": "high", "max_tokens": 64_000},
        {"max_tokens": 9},
        effort | {"max_tokens": 9},
    ]

    async def scenario(gateway: Gateway) -> None:
        for path, document, _ in asked:
            await gateway.post(document, path)
        live = await gateway.audit(len(asked))
        assert [entry["adapted"] for entry in live] == [adapted for _, _, adapted in asked]
        seen = [one.json() for name in ("o", "a") for one in gateway.asked(name)]
        common = {"model", "messages"}
        assert [{key: one[key] for key in one.keys() - common} for one in seen] == sent
        question = json.dumps({"decisions": True}).encode()
        reply = await gateway.call("POST", "/gateway/what-if", question, gateway.admin)
        decided = {one["request_id"]: one["adapted"] for one in reply.json()["decisions"]}
        assert decided == {entry["request_id"]: entry["adapted"] for entry in live}

    refusing = answering(Answer(400, b"{}"))  # what was asked is all that matters
    routing: Json = {"defaultProvider": "a", "modelPatterns": [["^gpt-", "o"]]}
    run(tmp_path, Setup({"a": (OWN_KEY, refusing), "o": (OPENAI, refusing)}, routing), scenario)


async def recorded(client: Client, records: int) -> dict[str, Json]:
    """Return so many records, bodies asked for; answers wait for them, but not for long."""
    while (await client.call("GET", "/gateway/audit?limit=1"))["total"] < records:
        await asyncio.sleep(0.01)  # another thread writes them: there is nothing to wait on
    found: dict[str, Json] = {}
    while True:
        path = f"/gateway/audit?limit=1000&include_bodies=true&offset={len(found)}"
        page = await client.call("GET", path, None, client.admin)
        found |= {entry["request_id"]: entry for entry in page["entries"]}
        if len(found) >= page["total"]:
            return found


def what_was_done(entry: Json) -> tuple[str, list[str], str | None]:
    return entry["model"], entry["adapted"], entry["skipped_reason"]


def conversation(session: int, turn: int, *, size: int = 4000) -> Json:
    """Return the request of one turn: a common system prompt, a growing history, both cached."""
    cached = {"cache_control": {"type": "ephemeral"}}
    system = [{"type": "text", "text": "You help. " * size, **cached}]
    messages: list[Json] = []
    for number in range(turn + 1):
        text = {"type": "text", "text": f"s{session} t{number} " + "word " * 800}
        messages.append({"role": "user", "content": [text]})
        messages.append({"role": "assistant", "content": f"answer {number} " + "yes " * 200})
    messages[-2:] = [{"role": "user", "content": [{**text, **cached}]}]
    tools = [{"name": "look", "description": "x" * 400, "input_schema": {"type": "object"}}]
    body = {"model": OPUS, "max_tokens": 200, "system": system, "messages": messages}
    return {**body, "tools": tools}


async def arm(home: Path, *, switched: bool) -> tuple[Decimal, Json]:
    """Run the scripted sessions; return what the later half of them cost, and the statistics.

    Six sessions of ten turns; after four turns each the rules change, for one of the two arms, and
    four sessions begin anew.
    """
    async with demo_upstream() as url:
        async with running(home, url) as client:
            for turn in range(4):
                for session in range(6):
                    await say(client, session, turn)
            before = (await client.call("GET", "/gateway/metrics"))["summary"]["total_cost_usd"]
        async with running(home, url, rules=[[OPUS, HAIKU]] if switched else ()) as client:
            for turn in range(4, 10):
                for session in range(6):
                    await say(client, session, turn)
            for turn in range(6):
                for session in range(6, 10):
                    await say(client, session, turn)
            after = (await client.call("GET", "/gateway/metrics"))["summary"]["total_cost_usd"]
            stats = await client.call("GET", "/api/overrides/stats")
    return Decimal(str(after)) - Decimal(str(before)), stats


async def say(client: Client, session: int, turn: int) -> None:
    headers = {"x-claude-code-session-id": f"s{session}"}
    await client.ask(conversation(session, turn), headers)
    assert client.answers[-1][0] == 200


def test_cost_saved_is_the_difference_of_two_arms(tmp_path: Path) -> None:
    async def main() -> None:
        cost, _ = await arm(tmp_path / "a", switched=False)
        switched_cost, stats = await arm(tmp_path / "b", switched=True)
        (row,) = stats["overrides_by_model"].values()
        saved, reported = cost - switched_cost, Decimal(str(row["cost_saved_usd"]))
        assert row["count"] == 60
        assert abs(reported - saved) <= saved * Decimal("0.05"), (reported, saved)

    asyncio.run(main())


NEW_SESSIONS = '[overrides_rollout]\napply_to = "new_sessions"\n'


def test_no_live_session_changes_its_model_under_new_sessions(tmp_path: Path) -> None:
    async def main() -> None:
        models: dict[str, list[str]] = {}

        async def turn(client: Client, session: str, body: Json, agent: str | None = None) -> None:
            headers = {"x-claude-code-session-id": session}
            headers |= {} if agent is None else {"x-claude-code-agent-id": agent}
            answer = await client.ask(body, headers)
            models.setdefault(f"{session}/{agent}", []).append(answer["model"])

        async with demo_upstream() as url:
            async with running(tmp_path, url) as client:
                for number in range(5):
                    await turn(client, f"old-{number}", conversation(number, 5))
            async with running(tmp_path, url, rules=[[OPUS, HAIKU]], own=NEW_SESSIONS) as client:
                for number in range(5):
                    await turn(client, f"old-{number}", conversation(number, 6))
                    compacted = conversation(number, 0)  # the same session, most of it left out
                    await turn(client, f"old-{number}", compacted)
                    await turn(client, f"old-{number}", conversation(number, 1), "agent-1")
                    await turn(client, f"new-{number}", conversation(number, 0))
            # Rules that change again leave those that run on the earlier target with it.
            async with running(tmp_path, url, rules=[[OPUS, SONNET]], own=NEW_SESSIONS) as client:
                for number in range(5):
                    await turn(client, f"old-{number}", conversation(number, 1))
                    await turn(client, f"new-{number}", conversation(number, 1))
                skipped = (await client.call("GET", "/gateway/audit"))["entries"]
        for number in range(5):
            assert models[f"old-{number}/None"] == [OPUS] * 4
            assert models[f"old-{number}/agent-1"] == [HAIKU]
            assert models[f"new-{number}/None"] == [HAIKU] * 2
        reasons = {entry["skipped_reason"] for entry in skipped[:10]}
        assert reasons == {"live_session"}

    asyncio.run(main())


def test_session_left_on_its_model_for_its_length_stays_there(tmp_path: Path) -> None:
    """Else it would change the model once more as soon as it was compacted."""

    async def main() -> None:
        async with (
            demo_upstream() as url,
            running(tmp_path, url, rules=[[OPUS, HAIKU]], own=NEW_SESSIONS) as client,
        ):
            headers = {"x-claude-code-session-id": "s"}
            found = []
            for size in (10, 120_000, 10):  # the target reads 200,000 tokens
                answer = await client.ask(conversation(0, 1, size=size), headers)
                found.append(answer["model"])
            assert found == [HAIKU, OPUS, OPUS]

    asyncio.run(main())


def test_question_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    questions: list[Json] = [
        {"overrides": {"rules": [["a"]]}},
        {"unheard_of": 1},
        {"rollout": {"percent": 101}},
        {"start_time": "2026-11-21T00:00:00"},
    ]

    async def main() -> None:
        async with demo_upstream() as url, running(tmp_path, url) as client:
            for question in questions:
                answer = await client.what_if(question)
                assert (client.answers[-1][0], answer["type"]) == (400, "error"), question
            await client.call("POST", "/gateway/what-if", {})
            assert client.answers[-1][0] == 401
            nothing = await client.what_if({})
            assert nothing["window"] == dict.fromkeys(("start_time", "end_time")) | {
                "requests": 0,
                "undecided": 0,
            }

    asyncio.run(main())


def test_project_of_a_request_is_recorded_and_goes_no_further(tmp_path: Path) -> None:
    async def main() -> None:
        async with demo_upstream() as url, running(tmp_path, url) as client:
            asked = {
                "model": HAIKU,
                "max_tokens": 9,
                "messages": [{"role": "user", "content": "a"}],
            }
            await client.ask({**asked, "project_id": "apollo"}, {"x-project-id": "other"})
            await client.ask(asked, {"x-project-id": "gemini"})
            await client.ask(asked)
            assert [status for status, _ in client.answers] == [200] * 3
            metrics = await client.call("GET", "/gateway/metrics?include_project=true")
            assert metrics["by_project"].keys() == {"apollo", "gemini"}
            machine = await client.call("GET", "/api/machine/stats")
            assert machine["activeProjects"] == 2
            assert [one["calls"] for one in machine["projects"]] == [1, 1]
            page = await client.call("GET", "/gateway/audit?project_id=apollo")
            assert page["total"] == 1

    asyncio.run(main())
