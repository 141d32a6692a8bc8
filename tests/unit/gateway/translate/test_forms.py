"""What a request says where providers of one format differ, by what their `Form` says of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.errors import RequestError
from gateway.providers.deepseek import FORM as DEEPSEEK
from gateway.providers.ollama import FORM as OLLAMA
from gateway.translate import TRANSLATORS, Wire, messages_openai, messages_request
from gateway.wire.form import OPENAI, Form

Json = Any  # a request as its format has it

OFF, ON = {"type": "disabled"}, {"type": "enabled", "budget_tokens": 8000}
BETWEEN, ADAPTIVE = {"type": "between_tools"}, {"type": "adaptive"}
GPT_5 = Form(efforts=("minimal", "low", "medium", "high"))
GPT_5_2 = Form(efforts=("none", "low", "medium", "high", "xhigh"))
O3 = Form(efforts=("low", "medium", "high"))
GPT_4O = Form(efforts=())
UP_TO_MAX = Form(efforts=("low", "high", "max"))
OSS = Form(efforts=("low", "medium", "high"), effort_thinks=True, highest="high", off="none")


def asked(thinking: Json = None, effort: str | None = None, **more: Json) -> bytes:
    body = {"model": "m", "max_tokens": 64, "messages": [{"role": "user", "content": "x"}]} | more
    if thinking is not None:
        body["thinking"] = thinking
    if effort is not None:
        body["output_config"] = {"effort": effort}
    return json.dumps(body).encode()


EFFORTS: list[tuple[Form, Json, str | None, str | None]] = [
    (OPENAI, None, None, None),
    (OPENAI, None, "high", "high"),
    (OPENAI, ADAPTIVE, "medium", "medium"),
    (OPENAI, ON, None, "medium"),
    (OPENAI, ON, "low", "low"),
    # Words that not all know.
    (OPENAI, None, "xhigh", "xhigh"),
    (OPENAI, None, "max", "xhigh"),
    (UP_TO_MAX, None, "max", "max"),
    (OPENAI, None, "minimal", "minimal"),
    # Without thinking it is the least effort that the model is known to take.
    (GPT_5_2, OFF, "high", "none"),
    (GPT_5_2, OFF, None, "none"),
    (GPT_5, OFF, "high", "minimal"),
    (GPT_5, BETWEEN, "high", "minimal"),
    (O3, OFF, "high", "low"),
    (GPT_4O, OFF, "high", None),
    (OPENAI, OFF, "high", None),
    # Ollama: an effort is a demand to think, which most of its models refuse.
    (OLLAMA, None, "high", None),
    (OLLAMA, ADAPTIVE, "high", None),
    (OLLAMA, ON, None, "medium"),
    (OLLAMA, ON, "max", "high"),
    (OLLAMA, OFF, "high", "none"),
    (OSS, ADAPTIVE, "low", "low"),
    (DEEPSEEK, None, "max", "max"),
    (DEEPSEEK, ON, "low", "low"),
]


@pytest.mark.parametrize(("form", "thinking", "effort", "expected"), EFFORTS)
def test_effort_is_one_that_the_provider_takes(
    form: Form, thinking: Json, effort: str | None, expected: str | None
) -> None:
    body = asked(thinking, effort)
    chat = json.loads(TRANSLATORS[Wire.MESSAGES, Wire.CHAT].request(body, "m", form))
    responses = json.loads(TRANSLATORS[Wire.MESSAGES, Wire.RESPONSES].request(body, "m", form))
    assert chat.get("reasoning_effort") == expected
    assert responses.get("reasoning", {}).get("effort") == expected


@pytest.mark.parametrize(
    ("form", "thinking", "effort", "think"),
    [
        (OLLAMA, None, None, None),
        (OLLAMA, None, "high", None),
        (OLLAMA, ADAPTIVE, "high", None),
        (OLLAMA, ON, None, True),
        (OLLAMA, ON, "high", True),
        (OLLAMA, OFF, "high", False),
        (OLLAMA, BETWEEN, None, False),
        (OLLAMA, None, "none", False),
        (OSS, None, "high", "high"),
        (OSS, ON, "max", "high"),
        (OSS, OFF, "high", False),
        (Form(efforts=()), ON, "high", True),
    ],
)
def test_ollama_is_told_to_think_only_where_the_model_can(
    form: Form, thinking: Json, effort: str | None, think: Json
) -> None:
    body = asked(thinking, effort)
    sent = json.loads(TRANSLATORS[Wire.MESSAGES, Wire.OLLAMA].request(body, "m", form))
    assert sent.get("think") == think


@pytest.mark.parametrize(
    ("form", "effort", "think"),
    [
        (OLLAMA, "high", None),
        (OLLAMA, "none", False),
        (OSS, "minimal", "low"),
        (OSS, "xhigh", "high"),
        (OSS, "none", False),
    ],
)
def test_effort_of_a_chat_client_reaches_ollama_where_levels_are_known(
    form: Form, effort: str, think: Json
) -> None:
    body = asked(reasoning_effort=effort)
    sent = json.loads(TRANSLATORS[Wire.CHAT, Wire.OLLAMA].request(body, "m", form))
    assert sent.get("think") == think


@pytest.mark.parametrize(
    ("form", "thinking", "switch", "effort"),
    [
        (DEEPSEEK, OFF, {"type": "disabled"}, None),
        (DEEPSEEK, BETWEEN, {"type": "disabled"}, None),
        (DEEPSEEK, ON, {"type": "enabled"}, "high"),
        (DEEPSEEK, ADAPTIVE, None, "high"),
        (DEEPSEEK, None, None, "high"),
        (OPENAI, OFF, None, None),
    ],
)
def test_thinking_is_switched_where_there_is_a_switch(
    form: Form, thinking: Json, switch: Json, effort: str | None
) -> None:
    body = asked(thinking, "high")
    sent = json.loads(TRANSLATORS[Wire.MESSAGES, Wire.CHAT].request(body, "m", form))
    assert (sent.get("thinking"), sent.get("reasoning_effort")) == (switch, effort)


def test_deepseek_has_no_switch_but_an_effort_in_the_responses_api() -> None:
    translator = TRANSLATORS[Wire.MESSAGES, Wire.RESPONSES]
    sent = json.loads(translator.request(asked(OFF, "high"), "m", DEEPSEEK))
    assert (sent.get("thinking"), sent["reasoning"]) == (None, {"effort": "none"})


@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "t"}])
def test_forced_tool_is_asked_for_without_thinking_where_that_has_a_switch(choice: Json) -> None:
    tool = {"name": "t", "input_schema": {"type": "object"}}
    body = asked(tools=[tool], tool_choice=choice)
    translator = TRANSLATORS[Wire.MESSAGES, Wire.CHAT]
    assert json.loads(translator.request(body, "m", DEEPSEEK))["thinking"] == {"type": "disabled"}
    assert "thinking" not in json.loads(translator.request(body, "m", OPENAI))


def test_schema_is_refused_where_chat_completions_take_none() -> None:
    form = {"format": {"type": "json_schema", "schema": {"type": "object"}}}
    body = asked(output_config=form)
    with pytest.raises(RequestError, match=r"output_config\.format") as refused:
        TRANSLATORS[Wire.MESSAGES, Wire.CHAT].request(body, "m", DEEPSEEK)
    assert refused.value.status == 400
    assert TRANSLATORS[Wire.MESSAGES, Wire.RESPONSES].request(body, "m", DEEPSEEK)


OBJECT = {"type": "object", "additionalProperties": False}
AB = {"a": {"type": "string"}, "b": {"type": "string"}}


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (OBJECT | {"properties": AB, "required": ["a", "b"]}, True),
        (OBJECT | {"properties": AB, "required": ["a"]}, False),
        (OBJECT | {"properties": AB}, False),
        ({"type": "array", "items": OBJECT | {"properties": AB}}, False),
        ({"anyOf": [OBJECT | {"properties": AB, "required": ["b", "a"]}, {"type": "null"}]}, True),
        ({"type": "string"}, True),
    ],
)
@pytest.mark.parametrize("upstream", [Wire.CHAT, Wire.RESPONSES])
def test_schema_with_optional_properties_is_no_strict_one(
    schema: Json, strict: bool, upstream: Wire
) -> None:
    """OpenAI refuses it as a strict one; Anthropic does not."""
    body = asked(
        output_config={"format": {"type": "json_schema", "schema": schema}},
        tools=[{"name": "t", "input_schema": schema, "strict": True}],
    )
    sent = json.loads(TRANSLATORS[Wire.MESSAGES, upstream].request(body, "m"))
    chat = upstream is Wire.CHAT
    answer = sent["response_format"]["json_schema"] if chat else sent["text"]["format"]
    tool = sent["tools"][0]["function"] if chat else sent["tools"][0]
    assert (answer["strict"], tool["strict"]) == (strict, strict)


def test_effort_that_some_are_not_sent_is_listed() -> None:
    left = [form for form, _, effort, expected in EFFORTS if effort is not None and not expected]
    assert {OPENAI, OLLAMA} <= {*left}
    assert [*messages_openai.NOT_ALWAYS] == ["effort", "metadata", "service_tier"]
    assert all(len(reason) > 20 for reason in messages_openai.NOT_ALWAYS.values())
    assert not messages_openai.NOT_ALWAYS.keys() & messages_request.NOT_NEEDED.keys()


# -- thinking that goes back

CALL = {"id": "c1", "type": "function", "function": {"name": "t", "arguments": '{"a": 1}'}}
ANSWERS: list[tuple[Json, str]] = [
    ({"content": None, "reasoning_content": "Hm.", "tool_calls": [CALL]}, "Hm."),
    ({"content": "I look.", "reasoning_content": "Hm.", "tool_calls": [CALL]}, "Hm."),
    ({"content": "I look.", "tool_calls": [CALL]}, ""),
    ({"content": "Done.", "reasoning_content": "Hm."}, "Hm."),
    ({"content": "Done."}, ""),
]


@pytest.mark.parametrize(("message", "thought"), ANSWERS)
def test_thinking_of_a_tool_loop_goes_back_to_deepseek(message: Json, thought: str) -> None:
    translator = TRANSLATORS[Wire.MESSAGES, Wire.CHAT]
    reason = "tool_calls" if "tool_calls" in message else "stop"
    choice = {"index": 0, "message": {"role": "assistant"} | message, "finish_reason": reason}
    answer = json.loads(translator.answer(json.dumps({"id": "a", "choices": [choice]}).encode()))
    turns = [{"role": "user", "content": "x"}, {"role": "assistant", "content": answer["content"]}]
    turns.append({"role": "user", "content": [*results(answer["content"])] or "y"})
    sent = json.loads(translator.request(asked(messages=turns), "m", DEEPSEEK))
    said = sent["messages"][1]
    assert said["reasoning_content"] == thought
    assert said["content"] == (message["content"] or "")
    assert [call["function"]["name"] for call in said.get("tool_calls", ())] == (
        ["t"] if "tool_calls" in message else []
    )


def test_every_message_of_the_model_has_the_field_that_deepseek_wants() -> None:
    said: list[Json] = [
        "words",
        [{"type": "text", "text": "words"}],
        [{"type": "thinking", "thinking": "", "signature": "s"}],
        [{"type": "redacted_thinking", "data": "d"}, {"type": "text", "text": "words"}],
        [
            {"type": "thinking", "thinking": "one", "signature": ""},
            {"type": "thinking", "thinking": "two", "signature": "s"},
        ],
    ]
    turns = [turn for content in said for turn in spoken(content)]
    body = asked(messages=[*turns, {"role": "user", "content": "x"}])
    translator = TRANSLATORS[Wire.MESSAGES, Wire.CHAT]
    sent = json.loads(translator.request(body, "m", DEEPSEEK))["messages"][1::2]
    assert [one["reasoning_content"] for one in sent] == ["", "", "", "", "one\n\ntwo"]
    assert [one["content"] for one in sent] == ["words", "words", "", "words", ""]
    plain = json.loads(translator.request(body, "m"))["messages"][1::2]
    assert not any("reasoning_content" in one for one in plain)


def spoken(content: Json) -> Iterator[Json]:
    yield {"role": "user", "content": "x"}
    yield {"role": "assistant", "content": content}


def results(content: Json) -> Iterator[Json]:
    for block in content:
        if block["type"] == "tool_use":
            yield {"type": "tool_result", "tool_use_id": block["id"], "content": "r"}
