"""Which provider and which model an application behind scripted providers chooses."""

from __future__ import annotations

import gzip
import json
import logging
from pathlib import Path

import pytest

from tests.e2e.gateway.in_process import ANTHROPIC, KEY, Gateway, Setup, run
from tests.e2e.gateway.scripted import JSON, SSE, Answer, Json, answering, sse
from tests.e2e.gateway.spoken import HAIKU, SAID, SONNET, asking, message

pytestmark = pytest.mark.usefixtures("own_keys")

TWO = {
    "a": (ANTHROPIC, answering(Answer(body=message("from a")))),
    "b": (ANTHROPIC, answering(Answer(body=message("from b")))),
}


@pytest.mark.parametrize(
    ("headers", "model", "provider", "reason"),
    [
        ({b"x-agent-type": b"Reviewer"}, SONNET, "b", "agent_rule:Reviewer"),
        ({}, HAIKU, "b", "model_tier:haiku"),
        ({}, "local-7b", "b", "model_pattern:^local-"),
        ({}, SONNET, "a", "default"),
    ],
)
def test_rules_choose_the_provider(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    headers: dict[bytes, bytes],
    model: str,
    provider: str,
    reason: str,
) -> None:
    rules: dict[str, Json] = {"defaultProvider": "a", "agentRules": {"reviewer": "b"}}
    rules |= {"modelTierRules": {"haiku": "b"}, "modelPatterns": [["^local-", "b"]]}

    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.post(asking(model), headers=KEY | headers)
        assert reply.header(b"x-gateway-provider") == provider.encode()
        assert reply.json()["content"][0]["text"] == f"from {provider}"
        (entry,) = await gateway.audit()
        assert (entry["provider"], entry["route_reason"]) == (provider, reason)

    with caplog.at_level(logging.INFO):
        run(tmp_path, Setup(TWO, rules), scenario)
    agent = headers.get(b"x-agent-type", b"main").decode()
    line = f"Routing request: agent_type={agent}, provider={provider}, reason={reason}"
    assert line in "\n".join(caplog.messages).splitlines()


def test_alias_changes_the_name_and_is_no_override(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.post(asking())
        assert gateway.asked("a")[0].json()["model"] == "own-sonnet"
        assert reply.header(b"x-gateway-override") is None
        (entry,) = await gateway.audit()
        assert (entry["requested_model"], entry["model"]) == (SONNET, "own-sonnet")
        stats = await gateway.get("/api/overrides/stats")
        assert stats["total_overrides"] == 0

    entry = ANTHROPIC | {"modelAliases": {"sonnet": "own-sonnet"}}
    run(tmp_path, Setup({"a": (entry, answering(SAID))}), scenario)


def test_agent_rules_choose_the_model_before_the_blanket_rules(tmp_path: Path) -> None:
    files = {
        "model-overrides.toml": f'[overrides]\nrules = [["{SONNET}", "blanket"]]\n'
        '[agent_rules]\nreviewer = "by-rule"\n',
        "llm-router-config.json": json.dumps(
            {"enable_agent_override": True, "agent_model_overrides": {"tester": "by-router"}}
        ),
    }

    async def scenario(gateway: Gateway) -> None:
        for agent in (b"reviewer", b"tester", b"other"):
            await gateway.post(asking(), headers=KEY | {b"x-agent-type": agent})
        asked = [seen.json()["model"] for seen in gateway.asked("a")]
        assert asked == ["by-rule", "by-router", "blanket"]

    run(tmp_path, Setup({"a": TWO["a"]}, files=files), scenario)


SESSION = {b"x-claude-code-session-id": b"s1"}
CALL = {
    "type": "tool_use",
    "id": "t",
    "name": "Agent",
    "input": {"prompt": "dig", "subagent_type": "digger"},
}
START = {"type": "message_start", "message": {"model": SONNET, "usage": {"input_tokens": 3}}}
STREAMED = sse(
    START,
    {"type": "content_block_start", "index": 1, "content_block": CALL | {"input": {}}},
    {
        "type": "content_block_delta",
        "index": 1,
        "delta": {"type": "input_json_delta", "partial_json": json.dumps(CALL["input"])},
    },
    {"type": "content_block_stop", "index": 1},
    {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 5}},
    {"type": "message_stop"},
)


@pytest.mark.parametrize(
    "first",
    [
        Answer(body=STREAMED, headers=(SSE,)),
        Answer(body=message("go", CALL)),
        Answer(body=gzip.compress(STREAMED), headers=(SSE, (b"content-encoding", b"gzip"))),
        Answer(
            body=gzip.compress(message("go", CALL)), headers=(JSON, (b"content-encoding", b"gzip"))
        ),
    ],
    ids=["stream", "whole", "encoded-stream", "encoded"],
)
def test_child_is_named_and_routed_by_what_its_parent_said(tmp_path: Path, first: Answer) -> None:
    async def scenario(gateway: Gateway) -> None:
        tools = [{"name": "Agent", "input_schema": {}}]
        parent = await gateway.post(asking(tools=tools), headers=KEY | SESSION)
        assert parent.body == first.body, "reading along changes nothing"
        child = KEY | SESSION | {b"x-claude-code-agent-id": b"a1"}
        spoken = [{"role": "user", "content": [{"type": "text", "text": "dig"}]}]
        await gateway.post(asking(messages=spoken), headers=child)
        await gateway.post(asking(), headers=child)
        entries = await gateway.audit(3)
        named = [(one["agent_type"], one["agent_source"], one["provider"]) for one in entries]
        digger = ("digger", "parent", "b")
        assert named == [("main", "thread", "a"), digger, digger]

    rules = {"defaultProvider": "a", "agentRules": {"digger": "b"}}
    providers = {"a": (ANTHROPIC, answering(first)), "b": TWO["b"]}
    run(tmp_path, Setup(providers, rules), scenario)


def test_agent_is_known_by_its_definition_file(tmp_path: Path) -> None:
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "x.md").write_text("---\nname: careful\n---\nTake great care.\n")
    files = {"gateway.toml": '[agents]\ndirectories = ["agents"]\n'}

    async def scenario(gateway: Gateway) -> None:
        await gateway.post(asking(system=[{"type": "text", "text": "Take great care.\n\nEnv."}]))
        (entry,) = await gateway.audit()
        assert (entry["agent_type"], entry["agent_source"]) == ("careful", "definition")

    run(tmp_path, Setup({"a": TWO["a"]}, files=files), scenario)
