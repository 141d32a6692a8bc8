"""Chat completions through a real worker's application to providers that speak them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.gateway.in_process import (
    CHAT,
    COUNT,
    OPENAI,
    OWN_KEY,
    Gateway,
    Setup,
    overriding,
    run,
)
from tests.e2e.gateway.scripted import SSE, Answer, Json, answering, data_event
from tests.e2e.gateway.spoken import CHAT_USAGE, HAIKU, SAID, asking, message

pytestmark = pytest.mark.usefixtures("own_keys")

CHAT_ANSWER = json.dumps({"id": "c", "model": "gpt-x", "choices": [], "usage": CHAT_USAGE}).encode()
CHUNKS = data_event({"model": "gpt-x", "choices": [{"index": 0, "delta": {"role": "assistant"}}]})
CHUNKS += data_event({"model": "gpt-x", "choices": [], "usage": CHAT_USAGE})


def test_chat_is_passed_on_as_it_is(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        sent = asking("gpt-x", x_unknown=[1])
        reply = await gateway.post(sent, CHAT + "?a=b", {b"authorization": b"Bearer sk-c"})
        assert (reply.status, reply.body) == (200, CHAT_ANSWER)
        (seen,) = gateway.asked("o")
        assert (seen.target, seen.json()) == (b"/v1/chat/completions?a=b", sent)
        assert seen.headers[b"authorization"] == b"Bearer sk-openai-own"
        (entry,) = await gateway.audit()
        assert (entry["input_tokens"], entry["output_tokens"]) == (12, 3)
        assert (entry["endpoint"], entry["success"]) == ("chat", True)

    run(tmp_path, Setup({"o": (OPENAI, answering(Answer(body=CHAT_ANSWER)))}), scenario)


@pytest.mark.parametrize(("end", "success"), [(b"data: [DONE]\n\n", True), (b"", False)])
def test_chat_stream_is_metered_and_its_end_checked(
    tmp_path: Path, end: bytes, *, success: bool
) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.post(asking("gpt-x", stream=True), CHAT)
        assert reply.body.startswith(CHUNKS)
        rest = reply.body.removeprefix(CHUNKS)
        if success:
            assert rest == end
        else:
            document = json.loads(rest.removeprefix(b"data: "))
            assert document["error"]["type"] == "api_error"
        (entry,) = await gateway.audit()
        assert (entry["success"], entry["output_tokens"]) == (success, 3)

    reply = Answer(body=CHUNKS + end, headers=(SSE,))
    run(tmp_path, Setup({"o": (OPENAI, answering(reply))}), scenario)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, CHUNKS.partition(b"\n\n")[0] + b"\n\n"),
        ({"stream_options": {"include_usage": True}}, CHUNKS),
    ],
    ids=["not-asked", "asked"],
)
@pytest.mark.parametrize("whole", [True, False], ids=["ended", "cut"])
def test_chat_stream_has_a_cost_although_the_client_did_not_ask(
    tmp_path: Path, options: Json, expected: bytes, *, whole: bool
) -> None:
    end = b"data: [DONE]\n\n" if whole else b"data: {"

    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.post(asking("claude-haiku-4-5", stream=True, **options), CHAT)
        assert reply.body.startswith(expected + end)
        assert whole == (reply.body == expected + end)
        (seen,) = gateway.asked("o")
        assert seen.json()["stream_options"] == {"include_usage": True}
        (entry,) = await gateway.audit()
        assert (entry["success"], entry["input_tokens"], entry["output_tokens"]) == (whole, 12, 3)
        assert entry["cost_usd"] > 0

    reply = Answer(body=CHUNKS + end, headers=(SSE,), whole=whole)
    run(tmp_path, Setup({"o": (OPENAI | {"streamUsage": True}, answering(reply))}), scenario)


@pytest.mark.parametrize(
    ("tier", "audio", "cost_usd", "terms"),
    [
        (None, 0, 0.0058, []),
        ("default", 0, 0.0058, []),
        ("flex", 0, 0.0029, ["flex"]),
        ("priority", 0, 0.0116, ["priority"]),
        ("scale", 0, None, ["scale"]),
        ("default", 9, None, ["audio"]),
    ],
)
def test_answer_costs_what_its_service_tier_does(
    tmp_path: Path, tier: str | None, audio: int, cost_usd: float | None, terms: list[str]
) -> None:
    counts = {
        "prompt_tokens": 1000, "prompt_tokens_details": {"cached_tokens": 400},
        "completion_tokens": 500, "completion_tokens_details": {"audio_tokens": audio},
    }  # fmt: skip
    served = {"model": "gpt-5-2025-08-07", "service_tier": tier}
    whole = json.dumps(served | {"choices": [], "usage": counts}).encode()
    roles = served | {"choices": [{"index": 0, "delta": {"role": "assistant"}}]}
    usage = {"model": "gpt-5-2025-08-07", "choices": [], "usage": counts}
    stream = data_event(roles) + data_event(usage) + b"data: [DONE]\n\n"
    streamed = Answer(body=stream, headers=(SSE,))
    script = answering(Answer(body=whole), streamed)

    async def scenario(gateway: Gateway) -> None:
        await gateway.post(asking("gpt-5"), CHAT)
        await gateway.post(asking("gpt-5", stream=True), CHAT)
        asked = asking("gpt-5", stream=True, stream_options={"include_usage": True})
        await gateway.post(asked, CHAT)
        for entry in await gateway.audit():
            assert (entry["input_tokens"], entry["cache_read_tokens"]) == (600, 400)
            assert (entry["cost_usd"], entry["terms"]) == (cost_usd, terms)

    run(tmp_path, Setup({"o": (OPENAI | {"streamUsage": True}, script)}), scenario)


def test_errors_are_in_the_callers_format(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.call("POST", CHAT, b"{")
        assert reply.status == 400
        assert set(reply.json()["error"]) == {"message", "type", "param", "code"}
        assert (await gateway.call("GET", CHAT)).json()["error"]["type"] == "invalid_request_error"

    run(tmp_path, Setup({"o": (OPENAI, answering(SAID))}), scenario)


def test_azure_gets_its_own_path_and_key(tmp_path: Path) -> None:
    entry = OPENAI | {"providerType": "azure", "deployment": "dep", "apiVersion": "v1"}

    async def scenario(gateway: Gateway) -> None:
        await gateway.post(asking("gpt-x"), CHAT)
        (seen,) = gateway.asked("o")
        assert seen.target == b"/openai/deployments/dep/chat/completions?api-version=v1"
        assert seen.headers[b"api-key"] == b"sk-openai-own"
        assert b"authorization" not in seen.headers

    run(tmp_path, Setup({"o": (entry, answering(Answer(body=CHAT_ANSWER)))}), scenario)


def test_token_count_is_estimated_where_nobody_counts(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.post(asking(), COUNT)
        assert reply.header(b"x-gateway-estimate") == b"true"
        assert reply.json()["input_tokens"] > 5
        assert gateway.asked("o") == []
        (entry,) = await gateway.audit()
        assert (entry["status"], entry["cost_usd"]) == (200, 0)

    run(tmp_path, Setup({"o": (OPENAI, answering(SAID))}), scenario)


def test_instruction_in_the_middle_keeps_no_override_from_a_model(tmp_path: Path) -> None:
    """The translation puts it into the user's turn, which every model takes."""

    async def scenario(gateway: Gateway) -> None:
        texts = ("Hi.", "Hello.", "Be brief.", "Why?")
        roles = ("user", "assistant", "system", "user")
        turns = [{"role": r, "content": text} for r, text in zip(roles, texts, strict=True)]
        await gateway.post(asking("gpt-4o", messages=turns), CHAT)
        (seen,) = gateway.asked("a")
        assert seen.json()["model"] == HAIKU
        assert seen.json()["messages"][-1]["content"][0]["text"] == "<system>Be brief.</system>"

    files = overriding(["gpt-4o", HAIKU])
    answer = answering(Answer(body=message("Brief.")))
    run(tmp_path, Setup({"a": (OWN_KEY, answer)}, files=files), scenario)
