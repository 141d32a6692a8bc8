"""Verification requests: shaped like those of the real client, and never the same session twice."""

from __future__ import annotations

import json
import re
import uuid
from typing import Any

import pytest

from cco_migrate.checks.client_requests import (
    ClientRequest,
    client_requests,
    small_request,
)

SONNET, HAIKU = "claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001"
MODELS = (SONNET, SONNET, HAIKU) * 4


def body_of(request: ClientRequest) -> dict[str, Any]:  # Any: JSON
    row: dict[str, Any] = json.loads(request.body)
    return row


@pytest.mark.parametrize("streamed", [0, 1, 5, 6, 12])
def test_as_many_are_streamed_as_asked_for(streamed: int) -> None:
    made = client_requests(MODELS, run="mo-1", streamed=streamed)
    assert [request.model for request in made] == list(MODELS)
    assert sum(request.stream for request in made) == streamed
    assert [body_of(request).get("stream", False) for request in made] == [
        request.stream for request in made
    ]


def test_no_models_make_no_requests() -> None:
    assert client_requests((), run="mo-1", streamed=0) == ()


def test_body_has_the_blocks_of_the_client() -> None:
    for request in client_requests(MODELS, run="mo-1", streamed=6):
        body = body_of(request)
        assert {"model", "messages", "system", "tools", "metadata", "max_tokens"} <= body.keys()
        assert body["model"] == request.model
        assert [tool["name"] for tool in body["tools"]] == list(request.tools)
        assert all(tool["input_schema"]["type"] == "object" for tool in body["tools"])
        assert body["system"][0]["text"].startswith("x-anthropic-billing-header: ")
        marked = [block for block in body["system"] if "cache_control" in block]
        assert len(marked) == 2
        user = json.loads(body["metadata"]["user_id"])
        assert uuid.UUID(user["session_id"]).version == 4


def test_thinking_fits_the_model() -> None:
    for request in client_requests(MODELS, run="mo-1", streamed=6):
        body, headers = body_of(request), dict(request.headers)
        if request.model == HAIKU:
            assert body["thinking"] == {"type": "disabled"}
            assert "effort" not in headers["anthropic-beta"]
        else:
            assert ("output_config" in body) == ("thinking" in body)
            assert "effort" in headers["anthropic-beta"]


def test_headers_carry_no_credential_and_one_session() -> None:
    made = client_requests(MODELS, run="mo-1", streamed=6)
    for request in made:
        names = [name for name, _ in request.headers]
        assert len(set(names)) == len(names)
        assert not {"authorization", "x-api-key", "host", "content-length"} & set(names)
        assert dict(request.headers)["anthropic-version"] == "2023-06-01"
    assert len({dict(r.headers)["x-claude-code-session-id"] for r in made}) == 1


def test_some_requests_are_a_sub_agents() -> None:
    made = client_requests(MODELS, run="mo-1", streamed=6)
    agents = [dict(r.headers).get("x-claude-code-agent-id") for r in made]
    assert [agent is not None for agent in agents] == [n % 6 == 4 for n in range(12)]
    assert all(re.fullmatch(r"[0-9a-f]{17}", agent) for agent in agents if agent)


def test_two_runs_never_share_a_session_and_one_run_is_repeatable() -> None:
    first, again = (client_requests(MODELS, run="mo-1", streamed=6) for _ in range(2))
    other = client_requests(MODELS, run="mo-2", streamed=6)
    assert first == again
    sessions = {dict(r.headers)["x-claude-code-session-id"] for r in (first[0], other[0])}
    assert len(sessions) == 2


@pytest.mark.parametrize("stream", [True, False])
def test_small_request_is_small(stream: bool) -> None:
    request = small_request(SONNET, run="mo-1", stream=stream)
    body = body_of(request)
    assert (body["model"], body["stream"], body["max_tokens"]) == (SONNET, stream, 32)
    assert (request.tools, request.stream) == ((), stream)
    assert len(request.body) < 300
