"""One format in and another out of a real worker's application, whole and streamed."""

from __future__ import annotations

import json
from pathlib import Path

import anthropic
import pytest

from tests.e2e.gateway.in_process import (
    ANTHROPIC,
    CHAT,
    MESSAGES,
    OPENAI,
    OWN_KEY,
    Gateway,
    Setup,
    run,
)
from tests.e2e.gateway.scripted import JSON, SSE, Answer, Json, answering, data_event, sse
from tests.e2e.gateway.spoken import CHAT_USAGE, CURRENT, SAID, SONNET, asking, message

pytestmark = pytest.mark.usefixtures("own_keys")

SPOKEN = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
COMPLETION = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-x"}
CHAT_WHOLE = json.dumps(COMPLETION | {"choices": [SPOKEN], "usage": CHAT_USAGE}).encode()


def delta(fields: Json, reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": fields, "finish_reason": reason}
    return data_event(COMPLETION | {"object": "chat.completion.chunk", "choices": [choice]})


CHAT_STREAM = delta({"role": "assistant", "content": ""}) + delta({"content": "h\u00e9"})
CHAT_STREAM += delta({"content": "llo"})
CHAT_END = (
    delta({}, "stop")
    + data_event(COMPLETION | {"choices": [], "usage": CHAT_USAGE})
    + b"data: [DONE]\n\n"
)
BEGUN = json.loads(message()) | {"content": [], "stop_reason": None, "stop_sequence": None}
MESSAGE_STREAM = sse(
    {"type": "message_start", "message": BEGUN},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hello"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None},
     "usage": {"output_tokens": 5}},
    {"type": "message_stop"},
)  # fmt: skip
ALIASED = OPENAI | {"defaultModel": "gpt-x"}


def test_message_is_answered_by_a_chat_provider(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.post(asking(system="Be kind."), "/v1/messages?beta=true")
        document = reply.json()
        assert (document["type"], document["content"][0]["text"]) == ("message", "hi")
        assert document["id"].startswith("msg_")
        assert reply.header(b"x-gateway-model") == b"gpt-x"
        (seen,) = gateway.asked("o")
        assert seen.target == CHAT.encode()
        assert (seen.json()["model"], seen.json()["messages"][0]["role"]) == ("gpt-x", "system")
        assert seen.headers[b"authorization"] == b"Bearer sk-openai-own"
        assert b"x-api-key" not in seen.headers
        (entry,) = await gateway.audit()
        assert (entry["requested_model"], entry["model"]) == (SONNET, "gpt-x")
        assert (entry["input_tokens"], entry["output_tokens"]) == (12, 3)

    run(tmp_path, Setup({"o": (ALIASED, answering(Answer(body=CHAT_WHOLE)))}), scenario)


def test_message_stream_is_read_by_the_sdk_from_a_chat_provider(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        url = gateway.url
        async with (
            anthropic.AsyncAnthropic(base_url=url, api_key="sk-ant-test") as client,
            client.messages.stream(**asking(CURRENT)) as stream,
        ):
            text = "".join([piece async for piece in stream.text_stream])
            final = await stream.get_final_message()
        assert (text, final.stop_reason) == ("h\u00e9llo", "end_turn")
        assert gateway.asked("o")[0].json()["stream_options"] == {"include_usage": True}
        (entry,) = await gateway.audit()
        assert (entry["success"], entry["stream"], entry["partial"]) == (True, True, False)
        assert (entry["input_tokens"], entry["output_tokens"]) == (12, 3)

    reply = Answer(body=CHAT_STREAM + CHAT_END, headers=(SSE,))
    run(tmp_path, Setup({"o": (ALIASED, answering(reply))}), scenario)


@pytest.mark.parametrize("whole", [True, False], ids=["ended", "cut"])
def test_translated_stream_without_an_end_is_visibly_broken(tmp_path: Path, *, whole: bool) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.post(asking(stream=True))
        assert reply.body.count(b"event: error") == 1
        assert b"message_stop" not in reply.body
        (entry,) = await gateway.audit()
        assert (entry["success"], entry["partial"]) == (False, True)
        assert entry["error_message"]

    reply = Answer(body=CHAT_STREAM, headers=(SSE,), whole=whole)
    run(tmp_path, Setup({"o": (ALIASED, answering(reply))}), scenario)


@pytest.mark.parametrize("stream", [False, True])
def test_chat_is_answered_by_a_messages_provider(tmp_path: Path, *, stream: bool) -> None:
    async def scenario(gateway: Gateway) -> None:
        headers = {b"authorization": b"Bearer sk-openai-client"}
        reply = await gateway.post(asking(stream=stream), CHAT, headers)
        assert reply.status == 200
        if stream:
            assert reply.header(b"content-type") == b"text/event-stream; charset=utf-8"
            assert b"hello" in reply.body
            assert reply.body.endswith(b"data: [DONE]\n\n")
        else:
            assert reply.json()["choices"][0]["message"]["content"] == "hi"
        (seen,) = gateway.asked("a")
        assert seen.target == MESSAGES.encode()
        assert seen.headers[b"x-api-key"] == b"sk-ant-own"
        assert seen.headers[b"anthropic-version"]
        assert b"sk-openai-client" not in b"".join(seen.headers.values())
        (entry,) = await gateway.audit()
        assert (entry["success"], entry["input_tokens"], entry["output_tokens"]) == (True, 10, 5)

    streamed = Answer(body=MESSAGE_STREAM, headers=(SSE,))
    reply = streamed if stream else SAID
    run(tmp_path, Setup({"a": (OWN_KEY, answering(reply))}), scenario)


@pytest.mark.parametrize(
    ("path", "provider", "body"),
    [
        (MESSAGES, ALIASED, b'{"error":{"message":"slow down","type":"rate"}}'),
        (CHAT, OWN_KEY, b'{"type":"error","error":{"type":"x","message":"slow down"}}'),
    ],
)
def test_provider_error_is_translated_and_keeps_its_status(
    tmp_path: Path, path: str, provider: dict[str, Json], body: bytes
) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.post(asking(), path)
        assert (reply.status, reply.header(b"retry-after")) == (429, b"7")
        document = reply.json()
        assert document["error"]["message"] == "slow down"
        assert ("type" in document) == (path == MESSAGES)

    answer = Answer(429, body, (JSON, (b"retry-after", b"7")))
    run(tmp_path, Setup({"p": (provider, answering(answer))}), scenario)


def test_what_cannot_be_expressed_is_named_and_nobody_is_asked(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.post(asking(x_unknown=1))
        assert reply.status == 400
        assert "x_unknown" in reply.json()["error"]["message"]
        assert (gateway.asked("o"), gateway.asked("b")) == ([], [])

    setup = {"o": (ALIASED, answering(SAID)), "b": (ANTHROPIC, answering(SAID))}
    run(tmp_path, Setup(setup, {"defaultProvider": "o", "fallbackChain": ["b"]}), scenario)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(body=b"no json"),
        Answer(body=b"{}", headers=(JSON, (b"content-encoding", b"gzip"))),
        Answer(body=b'"' + b"x" * (9 << 20) + b'"'),
    ],
    ids=["garbage", "encoded", "too-large"],
)
def test_answer_that_cannot_be_translated_is_502(tmp_path: Path, answer: Answer) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.post(asking())
        assert (reply.status, reply.json()["type"]) == (502, "error")
        (entry,) = await gateway.audit()
        assert (entry["status"], entry["success"]) == (502, False)

    run(tmp_path, Setup({"o": (ALIASED, answering(answer))}), scenario)


BROKEN_CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{"}}


def test_what_cannot_be_translated_is_charged_all_the_same(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.post(asking())
        assert (reply.status, reply.json()["type"]) == (502, "error")
        (entry,) = await gateway.audit()
        assert (entry["status"], entry["success"]) == (502, False)
        assert entry["error_message"] == reply.json()["error"]["message"]
        assert (entry["input_tokens"], entry["output_tokens"]) == (1000, 500)
        assert entry["cost_usd"] == 0.0105
        metrics = await gateway.get("/gateway/metrics")
        assert metrics["summary"]["total_cost_usd"] == 0.0105

    spoken = {"role": "assistant", "content": None, "tool_calls": [BROKEN_CALL]}
    paid = {"model": SONNET, "usage": {"prompt_tokens": 1000, "completion_tokens": 500}}
    body = COMPLETION | paid | {"choices": [SPOKEN | {"message": spoken}]}
    answer = Answer(body=json.dumps(body).encode())
    run(tmp_path, Setup({"o": (ALIASED, answering(answer))}), scenario)


RESPONSE = {"id": "resp_1", "object": "response", "model": "gpt-x", "status": "completed"}
SPOKEN_ITEM = {"type": "message", "role": "assistant", "content": [
    {"type": "output_text", "text": "hello"}]}  # fmt: skip


RESPONSE_WHOLE = RESPONSE | {
    "output": [SPOKEN_ITEM],
    "usage": {"input_tokens": 12, "output_tokens": 3},
}
RESPONSE_STREAM = sse(
    {"type": "response.created", "response": RESPONSE | {"status": "in_progress"}},
    {"type": "response.output_text.delta", "output_index": 0, "delta": "hello"},
    {"type": "response.completed", "response": RESPONSE_WHOLE},
)


@pytest.mark.parametrize("usage", [False, True], ids=["plain", "with-usage"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_chat_is_answered_by_a_responses_provider(
    tmp_path: Path, *, stream: bool, usage: bool
) -> None:
    async def scenario(gateway: Gateway) -> None:
        options = {"stream": True, "stream_options": {"include_usage": usage}} if stream else {}
        reply = await gateway.post(asking("gpt-x", **options), CHAT)
        assert reply.status == 200
        assert b"hello" in reply.body
        if stream:
            assert reply.body.endswith(b"data: [DONE]\n\n")
            assert (b'"usage"' in reply.body) == usage
        else:
            assert reply.json()["choices"][0]["message"]["content"] == "hello"
        (seen,) = gateway.asked("o")
        assert (seen.target, seen.json()["store"]) == (b"/v1/responses", False)
        assert seen.headers[b"authorization"] == b"Bearer sk-openai-own"
        (entry,) = await gateway.audit()
        assert (entry["success"], entry["input_tokens"], entry["output_tokens"]) == (True, 12, 3)

    streamed = Answer(body=RESPONSE_STREAM, headers=(SSE,))
    reply = streamed if stream else Answer(body=json.dumps(RESPONSE_WHOLE).encode())
    run(tmp_path, Setup({"o": (OPENAI | {"api": "responses"}, answering(reply))}), scenario)
