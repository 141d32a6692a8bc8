"""A conversation whose provider changes between its turns, there and back: each takes what it gets.

The providers check each request as theirs would: a conversation is refused for one wrong turn, and
then for good, since clients send all of it again each time.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from pathlib import Path

import anthropic
import openai
import pytest

from tests.e2e.gateway.in_process import ANTHROPIC, OPENAI, OWN_KEY, Gateway, Setup, run
from tests.e2e.gateway.scripted import JSON, SSE, Answer, Json, Script, Seen, data_event, sse
from tests.e2e.gateway.spoken import CHAT_USAGE, CURRENT

pytestmark = pytest.mark.usefixtures("own_keys")

DOWN = Answer(529, b'{"type":"error","error":{"type":"overloaded_error","message":"busy"}}')
TOOL = {"name": "look", "input_schema": {"type": "object", "properties": {}}}
FUNCTION = {"type": "function", "function": {"name": "look", "parameters": {}}}
THOUGHT = {"type": "thinking", "thinking": "Look.", "signature": "EqoBCkgIARAB+/w=="}
CALLED = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": 1}}
SPOKEN = {"type": "text", "text": "Done."}

Check = Callable[[Json], None]


def message_of(*content: Json) -> Json:
    """Return an answer of Anthropic's."""
    usage = {"input_tokens": 10, "output_tokens": 5}
    reason = "tool_use" if content[-1]["type"] == "tool_use" else "end_turn"
    told = {"id": "m", "type": "message", "role": "assistant", "model": CURRENT, "usage": usage}
    return told | {"content": list(content), "stop_reason": reason, "stop_sequence": None}


def events_of(message: Json) -> bytes:
    """Return the stream of an answer of Anthropic's."""
    events: list[Json] = [{"type": "message_start", "message": message | {"content": []}}]
    empty = {"thinking": "", "signature": "", "text": "", "input": {}}
    for index, block in enumerate(message["content"]):
        begun = {name: empty.get(name, value) for name, value in block.items()}
        events.append({"type": "content_block_start", "index": index, "content_block": begun})
        deltas = [{"type": f"{name}_delta", name: block[name]} for name in block if name in empty]
        if block["type"] == "tool_use":
            deltas = [{"type": "input_json_delta", "partial_json": json.dumps(block["input"])}]
        events += (
            {"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas
        )
        events.append({"type": "content_block_stop", "index": index})
    ending = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    events += (
        {"type": "message_delta", "delta": ending, "usage": {"output_tokens": 5}},
        {"type": "message_stop"},
    )
    return sse(*events)


CALLS = [
    {"index": at, "id": "0", "type": "function", "function": {"name": "look", "arguments": text}}
    for at, text in enumerate(('{"at":2}', '{"at":3}'))
]
THINKS = {"role": "assistant", "content": "\n", "reasoning_content": "Twice.", "tool_calls": CALLS}
ANSWERS = {"role": "assistant", "reasoning_content": "Hm.", "content": "Ready."}


def completion_of(said: Json) -> Json:
    """Return an answer of a server that counts its calls, all by one id."""
    reason = "tool_calls" if "tool_calls" in said else "stop"
    choices = [{"index": 0, "message": said, "finish_reason": reason}]
    fields = {"id": "c", "object": "chat.completion", "created": 1, "model": "r"}
    return fields | {"choices": choices, "usage": CHAT_USAGE}


def chunks_of(completion: Json) -> bytes:
    """Return the same as a stream, in which blanks stand between all parts."""
    completion = completion | {"object": "chat.completion.chunk"}
    (choice,) = completion["choices"]
    deltas = [{name: value} for name, value in choice["message"].items()]
    data = b""
    for delta in (*deltas, {"content": " \n"}):
        chunk = {"index": 0, "delta": delta, "finish_reason": None}
        data += data_event(completion | {"choices": [chunk], "usage": None})
    end = {"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}
    return data + data_event(completion | {"choices": [end]}) + b"data: [DONE]\n\n"


def answering_as(check: Check, *answers: Json, stream: Callable[[Json], bytes]) -> Script:
    """Return a script that checks each request and gives these answers; None is trouble."""
    left = list(answers)

    async def script(seen: Seen, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        document = seen.json()
        answer = left.pop(0)
        if answer is None:
            DOWN.write(writer)
            return
        try:
            check(document)
        except AssertionError as error:
            problem = {"type": "error", "error": {"type": "invalid", "message": f"{error}"}}
            Answer(400, json.dumps(problem).encode()).write(writer)
            return
        streamed = bool(document.get("stream"))
        data = stream(answer) if streamed else json.dumps(answer).encode()
        Answer(body=data, headers=(SSE if streamed else JSON,)).write(writer)

    return script


def check_messages(document: Json) -> None:
    """Assert what Anthropic asks of a conversation."""
    ids: set[str] = set()
    called: list[str] = []
    turns = document["messages"]
    assert turns[0]["role"] == "user", "begins with an answer"
    for turn in turns:
        assert turn["role"] in {"user", "assistant"}, turn["role"]
        blocks = turn["content"]
        if isinstance(blocks, str):
            blocks = [{"type": "text", "text": blocks}]
        assert blocks, "all messages must have non-empty content"
        results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        assert results == called, "tool_use without its tool_result"
        heads = [block["type"] for block in blocks[: len(results)]]
        assert heads == ["tool_result"] * len(results), "results come first"
        for block in blocks:
            if block["type"] == "text":
                assert block["text"].strip(), "text must contain non-whitespace text"
            elif block["type"] == "thinking":
                assert block == THOUGHT, f"Invalid `signature` in `thinking` block: {block}"
        called = [block["id"] for block in blocks if block["type"] == "tool_use"]
        assert ids.isdisjoint(called), "tool_use ids must be unique"
        assert len({*called}) == len(called), "tool_use ids must be unique"
        ids.update(called)
    for tool in document["tools"]:
        assert tool["input_schema"]["type"] == "object", "input_schema.type"


def check_chat(document: Json) -> None:
    """Assert what OpenAI asks of a conversation."""
    open_calls: list[str] = []
    for message in document["messages"]:
        if message["role"] == "tool":
            assert message["tool_call_id"] in open_calls, "a result without its call"
            open_calls.remove(message["tool_call_id"])
            continue
        assert not open_calls, "calls without their results"
        open_calls = [call["id"] for call in message.get("tool_calls") or ()]
        assert len({*open_calls}) == len(open_calls), "one id twice"
        assert message.get("content") or open_calls, "a message without content"
    assert not open_calls, "calls without their results"


def between(first: list[Json], second: list[Json]) -> Setup:
    """Return a provider of each format; the second of them answers when the first is in trouble."""
    providers = {
        "a": (ANTHROPIC | OWN_KEY, answering_as(check_messages, *first, stream=events_of)),
        "o": (
            OPENAI | {"defaultModel": "r"},
            answering_as(check_chat, *second, stream=chunks_of),
        ),
    }
    return Setup(providers, {"defaultProvider": "a", "fallbackChain": ["o"]})


def results_of(content: list[Json]) -> Json:
    calls = [block for block in content if block["type"] == "tool_use"]
    results = [
        {"type": "tool_result", "tool_use_id": call["id"], "content": f"seen {call['input']['at']}"}
        for call in calls
    ]
    return {"role": "user", "content": results or "Go on."}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_messages_client_goes_on_at_any_provider(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, *, stream: bool
) -> None:
    caplog.set_level(logging.INFO)
    told = [
        message_of(THOUGHT, CALLED),
        None,  # the second turn is another provider's
        message_of(THOUGHT, CALLED | {"id": "toolu_2"}),
        None,
        message_of(SPOKEN),
    ]
    setup = between(told, [completion_of(THINKS), completion_of(ANSWERS)])

    async def scenario(gateway: Gateway) -> None:
        turns: list[Json] = [{"role": "user", "content": "Look around."}]
        async with anthropic.AsyncAnthropic(
            base_url=gateway.url, api_key="sk-ant-test", max_retries=0
        ) as client:
            for _ in range(5):
                asked: Json = {
                    "model": CURRENT,
                    "max_tokens": 9,
                    "messages": turns,
                    "tools": [TOOL],
                }
                if stream:
                    async with client.messages.stream(**asked) as answer:
                        message: Json = await answer.get_final_message()
                else:
                    message = await client.messages.create(**asked)
                content = [block.to_dict() for block in message.content]
                turns += {"role": "assistant", "content": content}, results_of(content)
        shown = [[block["type"] for block in turn["content"]] for turn in turns[1::2]]
        assert shown == [
            ["thinking", "tool_use"],
            ["thinking", "tool_use", "tool_use"],
            ["thinking", "tool_use"],
            ["thinking", "text"],
            ["text"],
        ]
        entries = sorted(await gateway.audit(), key=lambda entry: entry["seq"])
        assert [entry["provider"] for entry in entries] == ["a", "o", "a", "o", "a"]
        assert [entry["status"] for entry in entries] == [200] * 5
        left_out = ["thinking_blocks"]
        assert [entry["adapted"] for entry in entries] == [[], [], left_out, [], left_out]
        # What Anthropic signed came back as it was, also past the other provider.
        last = gateway.asked("a")[-1].json()["messages"]
        assert [turn["content"][0] for turn in last[1::4]] == [THOUGHT, THOUGHT]
        assert [turn["content"][0]["type"] for turn in last[3::4]] == ["tool_use", "text"]

    run(tmp_path, setup, scenario)
    # Also where the provider was in trouble then.
    assert caplog.text.count("Request adapted: changes=thinking_blocks") == 3


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_chat_client_goes_on_at_any_provider(tmp_path: Path, *, stream: bool) -> None:
    told = [None, message_of(THOUGHT, CALLED), None, message_of(SPOKEN)]
    setup = between(
        told, [completion_of(THINKS | {"tool_calls": CALLS[:1]}), completion_of(ANSWERS)]
    )

    async def scenario(gateway: Gateway) -> None:
        messages: list[Json] = [{"role": "user", "content": "Look around."}]
        async with openai.AsyncOpenAI(
            base_url=f"{gateway.url}/v1", api_key="sk-x", max_retries=0
        ) as client:
            for _ in range(4):
                asked: Json = {"model": CURRENT, "messages": messages, "tools": [FUNCTION]}
                if stream:
                    async with client.chat.completions.stream(**asked) as answer:
                        completion: Json = await answer.get_final_completion()
                else:
                    completion = await client.chat.completions.create(**asked)
                said = completion.choices[0].message.to_dict()
                said.pop("parsed", None)  # the SDK's own
                for one in said.get("tool_calls") or ():
                    one["function"].pop("parsed_arguments", None)
                messages.append(said)
                calls = said.get("tool_calls") or ()
                messages += (
                    {"role": "tool", "tool_call_id": one["id"], "content": "seen"} for one in calls
                )
                messages.append({"role": "system", "content": "Be brief."})
        entries = sorted(await gateway.audit(), key=lambda entry: entry["seq"])
        assert [entry["provider"] for entry in entries] == ["o", "a", "o", "a"]
        assert [entry["status"] for entry in entries] == [200] * 4

    run(tmp_path, setup, scenario)
