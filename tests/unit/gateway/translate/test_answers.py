"""Answers and errors beyond the golden pairs: what is no answer, stop reasons, odd error bodies."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import pytest

from gateway.errors import UpstreamError
from gateway.translate import TRANSLATORS, Translator, Wire, ollama_answer
from gateway.translate.chat_answer import STOP_REASONS
from gateway.translate.chat_completion import FINISH_REASONS
from gateway.wire.chat_usage import AUDIO, read_chat
from gateway.wire.usage import STANDARD, Reading, Terms, Usage

Translators = Callable[[], Mapping[str, Translator]]

DIRECTIONS = [f"{client}_{upstream}" for client, upstream in TRANSLATORS]
SDK_STOP_REASONS = {
    "end_turn",
    "max_tokens",
    "stop_sequence",
    "tool_use",
    "pause_turn",
    "refusal",
    "model_context_window_exceeded",
}


def completion(**fields: object) -> bytes:
    choice = {"index": 0, "message": {"content": "x"}, "finish_reason": "stop"} | fields
    return json.dumps({"choices": [choice]}).encode()


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"error": {"message": "m"}}',
        b'{"choices": []}',
        b'{"choices": [{"index": 0}]}',
        b'{"choices": [{"index": 1, "message": {"content": "x"}}]}',
        b'{"output": [], "status": "failed", "error": {"message": "m"}}',
        b'{"output": [], "status": "failed"}',
        b'{"output": [], "status": "in_progress"}',
        b'{"type": "error", "error": {"type": "api_error", "message": "m"}}',
        b'{"message": {"content": "x"}, "done": false}',
        b'{"done": true, "done_reason": "stop"}',
        b'{"message": {"tool_calls": [{"function": {}}]}, "done": true}',
        b'{"message": {"tool_calls": [{"function": {"name": "t", "arguments": []}}]}}',
        b'{"content": "\xff"}',
        b'{"type": "message", "content": [{"type": "tool_use", "input": {"a": "\xff"}}]}',
        b"[" * 100_000,
    ],
)
def test_body_that_is_no_answer_is_an_upstream_error(
    direction: str, body: bytes, translators: Translators
) -> None:
    with pytest.raises(UpstreamError):
        translators()[direction].answer(body)
    assert translators()[direction].reading(body) == Reading()


@pytest.mark.parametrize(
    ("finish_reason", "stop_reason"), [*STOP_REASONS.items(), ("novel", "end_turn")]
)
def test_finish_reason_becomes_a_stop_reason(
    finish_reason: str, stop_reason: str, translators: Translators
) -> None:
    body = completion(finish_reason=finish_reason)
    expected = "end_turn" if stop_reason == "tool_use" else stop_reason  # there was no call
    answer = json.loads(translators()["messages_chat"].answer(body))
    assert answer["stop_reason"] == expected
    assert stop_reason in SDK_STOP_REASONS


@pytest.mark.parametrize("finish_reason", ["error", "abort", "insufficient_system_resource"])
def test_answer_the_upstream_gave_up_is_an_error(
    finish_reason: str, translators: Translators
) -> None:
    with pytest.raises(UpstreamError, match=finish_reason):
        translators()["messages_chat"].answer(completion(finish_reason=finish_reason))


@pytest.mark.parametrize(
    ("done_reason", "stop_reason"), [*ollama_answer.STOP_REASONS.items(), ("unload", "end_turn")]
)
def test_done_reason_becomes_a_stop_reason(
    done_reason: str, stop_reason: str, translators: Translators
) -> None:
    line = {"message": {"content": "x"}, "done": True, "done_reason": done_reason}
    answer = json.loads(translators()["messages_ollama"].answer(json.dumps(line).encode()))
    assert answer["stop_reason"] == stop_reason
    assert stop_reason in SDK_STOP_REASONS


def test_every_stop_reason_becomes_a_finish_reason() -> None:
    assert {*FINISH_REASONS} == SDK_STOP_REASONS
    assert {*FINISH_REASONS.values()} == {"stop", "length", "tool_calls", "content_filter"}


def test_malformed_arguments_of_a_finished_answer_are_an_error(translators: Translators) -> None:
    call = {"id": "c", "function": {"name": "t", "arguments": '{"a'}}
    body = completion(message={"tool_calls": [call]}, finish_reason="tool_calls")
    with pytest.raises(UpstreamError, match="no JSON object"):
        translators()["messages_chat"].answer(body)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 5, "completion_tokens": 2}, Usage(5, 2)),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 2,
                "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 3},
            },
            Usage(2, 2, 3, 0, 4),
        ),
        ({"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}}, Usage(0, 0, 0, 0, 3)),
        ({"prompt_tokens": 9, "prompt_cache_hit_tokens": 8}, Usage(1, 0, 0, 0, 8)),
        ({"prompt_tokens": -1}, None),
        ({"prompt_tokens": 10**20}, None),
        ({"prompt_tokens": "many"}, None),
        (None, None),
    ],
)
def test_usage_takes_cached_tokens_off_the_prompt(
    usage: object, expected: Usage | None, translators: Translators
) -> None:
    body = json.dumps({"model": "m", "choices": [], "usage": usage}).encode()
    assert translators()["messages_chat"].reading(body) == Reading(expected, "m")
    assert read_chat(body) == Reading(expected, "m")  # billed alike when passed on


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"input_tokens": 5, "output_tokens": 2}, Usage(5, 2)),
        ({"input_tokens": 5, "input_tokens_details": {"cached_tokens": 4}}, Usage(1, 0, 0, 0, 4)),
        ({"input_tokens": -5}, None),
        (
            {
                "input_tokens": 9,
                "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 3},
                "output_tokens_details": {"reasoning_tokens": 2},
            },
            Usage(2, 0, 3, 0, 4),
        ),
        (
            {"output_tokens": 5, "output_tokens_details": {"audio_tokens": 2}},
            Usage(0, 5, terms=AUDIO),
        ),
        (
            {"input_tokens": 5, "input_tokens_details": {"audio_tokens": 2}},
            Usage(5, terms=AUDIO),
        ),
    ],
)
def test_responses_usage_takes_cached_tokens_off_the_input(
    usage: object, expected: Usage | None, translators: Translators
) -> None:
    body = json.dumps({"model": "m", "output": [], "usage": usage}).encode()
    assert translators()["messages_responses"].reading(body) == Reading(expected, "m")


@pytest.mark.parametrize(
    ("tier", "terms"),
    [
        (None, STANDARD),
        ("default", STANDARD),
        ("auto", STANDARD),
        (["flex"], STANDARD),
        ("flex", Terms(tier="flex")),
        ("priority", Terms(tier="priority")),
    ],
)
def test_answer_is_billed_in_the_tier_that_served_it(
    tier: object, terms: Terms, translators: Translators
) -> None:
    made = translators()
    served = {"model": "m", "service_tier": tier}
    chat = served | {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}}
    response = served | {"output": [], "usage": {"input_tokens": 5, "output_tokens": 2}}
    expected = Reading(Usage(5, 2, terms=terms), "m")
    for direction, body in (("messages_chat", chat), ("messages_responses", response)):
        assert made[direction].reading(json.dumps(body).encode()) == expected


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"prompt_eval_count": 5, "eval_count": 2}, Usage(5, 2)),
        ({"eval_count": 2}, Usage(0, 2)),
        ({"prompt_eval_count": -5}, None),
        ({"eval_count": 10**20}, None),
        ({}, None),
    ],
)
def test_ollama_counts_are_the_usage(
    counts: dict[str, int], expected: Usage | None, translators: Translators
) -> None:
    body = json.dumps({"model": "m", "message": {}, "done": True} | counts).encode()
    made = translators()
    assert made["messages_ollama"].reading(body) == Reading(expected, "m")
    stream = made["chat_ollama"].stream()
    stream.feed(body + b"\n")
    assert (stream.reading(), stream.complete) == (Reading(expected, "m"), True)


def test_ids_of_calls_without_one_differ_from_turn_to_turn() -> None:
    call = {"function": {"name": "t", "arguments": {}}}
    body = json.dumps({"message": {"tool_calls": [call, call]}, "done": True}).encode()
    answer = TRANSLATORS[Wire.MESSAGES, Wire.OLLAMA].answer
    ids = {block["id"] for _ in range(10) for block in json.loads(answer(body))["content"]}
    assert len(ids) == 20


@pytest.mark.parametrize(
    ("status", "body", "kind", "message"),
    [
        (502, b"<h1>Bad gateway</h1>", "api_error", "<h1>Bad gateway</h1>"),
        (500, b"", "api_error", "the upstream gave no reason (status 500)"),
        (429, b'"slow"', "rate_limit_error", "slow"),
        (529, b"[1]", "overloaded_error", "[1]"),
        (418, b'{"error": {"message": "teapot"}}', "invalid_request_error", "teapot"),
        (400, b"\xff" * 3, "invalid_request_error", "\ufffd" * 3),
        (413, b"x" * 9000, "request_too_large", "x" * 4096),
        (402, b'{"error": {"code": 402, "message": "pay"}}', "billing_error", "pay"),
    ],
)
def test_any_error_body_keeps_its_message(
    status: int, body: bytes, kind: str, message: str, translators: Translators
) -> None:
    made = translators()
    for direction, translator in made.items():
        error = json.loads(translator.error(status, body))
        if direction.startswith("messages_"):
            assert error == {"type": "error", "error": {"type": kind, "message": message}}
        else:
            assert (error["error"]["message"], error["error"]["code"]) == (message, kind)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ("context_length_exceeded", "context_length_exceeded"),
        ("rate_limit_exceeded", "rate_limit_exceeded"),
        ("frobnicated", "invalid_request_error"),
        (None, "invalid_request_error"),
    ],
)
def test_openai_clients_get_the_codes_they_know(
    given: str | None, code: str, translators: Translators
) -> None:
    body = json.dumps({"error": {"message": "m", "type": "t", "code": given}}).encode()
    error = json.loads(translators()["chat_responses"].error(400, body))["error"]
    assert error["code"] == code


def test_mint_of_the_table_gives_ids_that_differ() -> None:
    answer = TRANSLATORS[Wire.MESSAGES, Wire.CHAT].answer
    ids = {json.loads(answer(completion()))["id"] for _ in range(100)}
    assert len(ids) == 100
    assert all(one.startswith("msg_") and len(one) == 28 for one in ids)


@pytest.mark.parametrize("pair", sorted(TRANSLATORS))
def test_every_row_has_the_path_of_its_upstream(pair: tuple[Wire, Wire]) -> None:
    paths = {
        Wire.MESSAGES: b"/v1/messages",
        Wire.CHAT: b"/v1/chat/completions",
        Wire.RESPONSES: b"/v1/responses",
        Wire.OLLAMA: b"/api/chat",
    }
    assert TRANSLATORS[pair].path == paths[pair[1]]
