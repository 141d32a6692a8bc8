"""The demo upstream's pure part: the cost of a prompt, the answer, and its form on the wire."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from math import ceil
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.demo.answer import Answer, answer, as_events, as_json
from gateway.demo.request import IMAGE_TOKENS, Block, count_tokens, parse
from gateway.demo.schema import sample
from gateway.demo.usage import InputUsage, PromptCache
from gateway.errors import RequestError

# Decoded JSON of our own making; indexing it freely keeps the tests readable.
Json = dict[str, Any]

MODEL = "claude-sonnet-4-5-20250929"
OTHER = "claude-haiku-4-5"
WEATHER: Json = {
    "name": "get_weather",
    "description": "Tells the sky",
    "input_schema": {
        "type": "object",
        "properties": {
            "location": {"type": "string"},
            "unit": {"enum": ["celsius", "fahrenheit"]},
            "days": {"type": "integer", "minimum": 3},
        },
        "required": ["location", "days"],
    },
}
BASH: Json = {
    "name": "Bash",
    "description": "Executes a command",
    "input_schema": {
        "type": "object",
        "properties": {"command": {"type": "string"}},
        "required": ["command"],
    },
}
EPHEMERAL = {"type": "ephemeral"}
ONE_HOUR = {"type": "ephemeral", "ttl": "1h"}


def body(**fields: object) -> bytes:
    whole = {
        "model": MODEL,
        "max_tokens": 500,
        "messages": [{"role": "user", "content": "Good morning"}],
    }
    whole |= fields
    return json.dumps({key: value for key, value in whole.items() if value is not None}).encode()


def marked(text: str) -> Json:
    return {"type": "text", "text": text, "cache_control": EPHEMERAL}


def ask(**fields: object) -> Answer:
    prompt = parse(body(**fields))
    return answer(prompt, PromptCache().bill(prompt.model, prompt.blocks, 0), "msg_1")


def said(text: str, **fields: object) -> Answer:
    return ask(messages=[{"role": "user", "content": text}], **fields)


def events(reply: Answer) -> list[Json]:
    found = []
    for raw in as_events(reply):
        match = re.fullmatch(rb"event: (\w+)\ndata: ([^\n]+)\n\n", raw)
        assert match is not None, raw
        data = json.loads(match[2])
        assert data["type"] == match[1].decode()
        found.append(data)
    return found


def assembled(stream: Iterable[Json]) -> Json:
    """Put a message together from its events, as a client does."""
    message: Json = {}
    for event in stream:
        match event["type"]:
            case "message_start":
                message = event["message"]
            case "content_block_start":
                message["content"].append(dict(event["content_block"]))
                partial = ""
            case "content_block_delta":
                block = message["content"][event["index"]]
                delta = event["delta"]
                if delta["type"] == "input_json_delta":
                    partial += delta["partial_json"]
                    continue
                key = delta["type"].removesuffix("_delta")
                block[key] += delta[key]
            case "content_block_stop":
                if message["content"][event["index"]]["type"] == "tool_use":
                    message["content"][event["index"]]["input"] = json.loads(partial)
            case "message_delta":
                message |= event["delta"]
                message["usage"] = event["usage"]
    return message


@pytest.mark.parametrize(
    ("text", "tokens"), [("", 0), ("a", 1), ("four", 1), ("fives", 2), ("ééé", 2), ("日本", 2)]
)
def test_count_tokens_is_a_quarter_of_the_bytes_rounded_up(text: str, tokens: int) -> None:
    assert count_tokens(text) == tokens


@pytest.mark.parametrize(
    ("fields", "tokens"),
    [
        ({}, 3),
        ({"system": "x" * 9}, 3 + 3),
        ({"system": [{"type": "text", "text": "x" * 9}, {"type": "text", "text": "y"}]}, 3 + 3 + 1),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}]},
            IMAGE_TOKENS,
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "tool_result", "content": "12345"},
                            {"type": "tool_result", "content": [{"type": "text", "text": "1"}]},
                        ],
                    }
                ]
            },
            2 + 1,
        ),
        (
            {"tools": [{"name": "a", "input_schema": {}}]},
            3 + ceil(len('{"input_schema":{},"name":"a"}') / 4),
        ),
        (
            {"messages": [{"role": "system", "content": "xxxx"}, {"role": "user", "content": "y"}]},
            2,
        ),
    ],
)
def test_input_tokens_count_every_part_of_the_prompt(fields: Json, tokens: int) -> None:
    usage = ask(**fields).usage
    assert usage == InputUsage(plain=tokens, written_5m=0, written_1h=0, read=0)


def test_output_tokens_count_what_was_really_answered() -> None:
    reply = said("weather", tools=[WEATHER])
    assert reply.output_tokens == sum(count_tokens(block.text) for block in reply.content)


@pytest.mark.parametrize(
    ("request_body", "status", "words"),
    [
        (b"", 400, "valid JSON"),
        (b"[]", 400, "Expected `object`"),
        (b"\xff", 400, "valid JSON"),
        (b'{"system":[{"a":' + b"[" * 200_000, 400, "valid JSON"),
        (body(model=None), 400, "model: Field required"),
        (body(messages=None), 400, "messages: Field required"),
        (body(messages=[]), 400, "at least one message"),
        (body(max_tokens=None), 400, "max_tokens: Field required"),
        (body(max_tokens=0), 400, "greater than or equal to 1"),
        (body(max_tokens="many"), 400, "max_tokens"),
        (body(cache_control={"type": "ephemeral", "ttl": "2d"}), 400, "5m"),
        (body(cache_control={"type": "ephemeral", "ttl": []}), 400, "5m"),
        (body(system=[marked("one")] * 5), 400, "maximum of 4"),
    ],
)
def test_parse_refuses_what_the_provider_refuses(
    request_body: bytes, status: int, words: str
) -> None:
    with pytest.raises(RequestError, match=re.escape(words)) as caught:
        parse(request_body)
    assert (caught.value.status, caught.value.kind) == (status, "invalid_request_error")


def test_parse_for_counting_needs_no_max_tokens() -> None:
    assert parse(body(max_tokens=None), counting=True).max_tokens is None


def test_parse_accepts_what_real_clients_send() -> None:
    prompt = parse(
        body(
            metadata={"user_id": "{}"},
            thinking={"type": "adaptive", "display": "omitted"},
            context_management={"edits": []},
            output_config={"effort": "medium"},
            messages=[
                {"role": "user", "content": [{"type": "text", "text": "Read the file"}]},
                {"role": "system", "content": "note", "output_config": {"effort": "low"}},
            ],
            tools=[BASH, {**WEATHER, "defer_loading": True}, {"type": "web_search", "name": "s"}],
        )
    )
    assert prompt.asked == "Read the file"
    assert [tool.name for tool in prompt.tools] == ["Bash"]


def bill_of(cache: PromptCache, now: float, *texts: str, **fields: Any) -> InputUsage:
    """Bill a prompt of system blocks; a text that ends in * (5 m) or ! (1 h) is a breakpoint."""
    system: list[Json] = []
    for text in texts:
        control = {"*": EPHEMERAL, "!": ONE_HOUR}.get(text[-1])
        system.append(
            {"type": "text", "text": text} | ({"cache_control": control} if control else {})
        )
    prompt = parse(body(system=system, messages=[{"role": "user", "content": "1234"}], **fields))
    return cache.bill(prompt.model, prompt.blocks, now)


def test_cache_writes_a_new_prefix_and_reads_it_the_next_time() -> None:
    cache = PromptCache()
    assert bill_of(cache, 0, "aaaaaaa*") == InputUsage(1, 2, 0, 0)
    assert bill_of(cache, 1, "aaaaaaa*") == InputUsage(1, 0, 0, 2)


def test_cache_is_not_shared_between_models() -> None:
    cache = PromptCache()
    bill_of(cache, 0, "aaaaaaa*")
    assert bill_of(cache, 1, "aaaaaaa*", model=OTHER) == InputUsage(1, 2, 0, 0)
    assert bill_of(cache, 2, "aaaaaaa*") == InputUsage(1, 0, 0, 2)


@pytest.mark.parametrize(
    ("mark", "now", "read"), [("*", 299.9, 2), ("*", 300, 0), ("!", 3599, 2), ("!", 3600, 0)]
)
def test_cache_forgets_a_prefix_after_its_time(mark: str, now: float, read: int) -> None:
    cache = PromptCache()
    bill_of(cache, 0, f"aaaaaaa{mark}")
    assert bill_of(cache, now, f"aaaaaaa{mark}").read == read


def test_cache_read_starts_the_time_anew() -> None:
    cache = PromptCache()
    for now in (0, 250, 500, 750):
        usage = bill_of(cache, now, "aaaaaaa*")
    assert usage.read == 2


def test_cache_bills_five_minutes_and_one_hour_apart() -> None:
    assert bill_of(PromptCache(), 0, "aaaa", "bbb!", "ccccccc*", "d") == InputUsage(2, 2, 2, 0)


def test_cache_reads_the_shorter_prefix_when_the_end_is_new() -> None:
    cache = PromptCache()
    bill_of(cache, 0, "aaa*", "bbb*")
    assert bill_of(cache, 1, "aaa*", "ccccccc*") == InputUsage(1, 2, 0, 1)


def test_cache_looks_back_from_a_moved_breakpoint() -> None:
    cache = PromptCache()

    def bill(*turns: str) -> InputUsage:
        earlier = [{"role": "user", "content": turn} for turn in turns[:-1]]
        prompt = parse(body(messages=[*earlier, {"role": "user", "content": [marked(turns[-1])]}]))
        return cache.bill(MODEL, prompt.blocks, 0)

    assert bill("1234") == InputUsage(0, 1, 0, 0)
    assert bill("1234", "12345678", "1") == InputUsage(0, 3, 0, 1)


@pytest.mark.parametrize(("between", "read"), [(19, 1), (20, 0)])
def test_cache_looks_back_twenty_blocks_at_most(between: int, read: int) -> None:
    cache = PromptCache()
    bill_of(cache, 0, "aaa*")
    blocks = [Block(b"system\n", 1, None)] * between
    first = parse(body(system=[{"type": "text", "text": "aaa*"}])).blocks[:1]
    assert cache.bill(MODEL, (*first, *blocks, Block(b"end", 1, 300)), 1).read == read


def test_cache_is_bounded() -> None:
    cache = PromptCache(max_prefixes=3)
    for n in range(10):
        bill_of(cache, 0, f"{n}*")
    assert len(cache) == 3
    assert bill_of(cache, 1, "9*").read == 1


blocks_strategy = st.lists(
    st.builds(
        Block,
        identity=st.sampled_from([b"a", b"b", b"c"]),
        tokens=st.integers(0, 50),
        ttl_s=st.sampled_from([None, 300, 3600]),
    ),
    max_size=30,
).map(tuple)


@given(st.lists(st.tuples(blocks_strategy, st.integers(0, 400)), max_size=6))
def test_billed_tokens_add_up_to_the_prompt(prompts: list[tuple[tuple[Block, ...], int]]) -> None:
    cache, now = PromptCache(), 0
    for blocks, pause in prompts:
        now += pause
        usage = cache.bill(MODEL, blocks, now)
        parts = (usage.plain, usage.written_5m, usage.written_1h, usage.read)
        assert min(parts) >= 0
        assert sum(parts) == sum(block.tokens for block in blocks)


@given(blocks_strategy)
def test_second_identical_prompt_writes_nothing(blocks: tuple[Block, ...]) -> None:
    cache = PromptCache()
    first, second = cache.bill(MODEL, blocks, 0), cache.bill(MODEL, blocks, 1)
    assert second.written_5m == second.written_1h == 0
    assert second.plain == first.plain


def test_answer_is_the_same_for_the_same_request() -> None:
    assert ask() == ask()
    assert said("Good evening").content != ask().content


def test_answer_says_it_is_a_demo_and_quotes_the_question() -> None:
    text = ask().content[0].text
    assert "demo" in text
    assert "“Good morning”" in text


@pytest.mark.parametrize(
    ("text", "tools", "called"),
    [
        ("What is the weather?", [BASH, WEATHER], "get_weather"),
        ("Run the tests", [WEATHER, BASH], "Bash"),
        ("Read it", [{**BASH, "description": "reads a file"}], "Bash"),
        ("Running late", [BASH], None),
        ("Good morning", [BASH], None),
        ("weather", [BASH], None),
        ("weather", [], None),
    ],
)
def test_answer_calls_the_first_fitting_tool(
    text: str, tools: list[Json], called: str | None
) -> None:
    reply = said(text, tools=tools)
    last = reply.content[-1]
    assert (last.name or None) == called
    assert reply.stop_reason == ("tool_use" if called else "end_turn")


@pytest.mark.parametrize(
    ("choice", "called"),
    [
        ({"type": "tool", "name": "Bash"}, "Bash"),
        ({"type": "any"}, "get_weather"),
        ({"type": "none"}, ""),
        ({"type": "auto"}, ""),
    ],
)
def test_answer_follows_tool_choice(choice: Json, called: str) -> None:
    assert said("Hello", tools=[WEATHER, BASH], tool_choice=choice).content[-1].name == called


def test_answer_to_a_tool_result_is_text() -> None:
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny"}
    text = {"type": "text", "text": "weather"}
    reply = ask(messages=[{"role": "user", "content": [result, text]}], tools=[WEATHER])
    assert [block.kind for block in reply.content] == ["text"]


def test_tool_input_has_the_required_properties_only() -> None:
    reply = said("weather", tools=[WEATHER])
    assert json.loads(reply.content[-1].text) == {"location": "Lisbon", "days": 3}


@pytest.mark.parametrize(
    ("thinking", "kinds", "shown"),
    [
        ({"type": "enabled", "budget_tokens": 1024}, ["thinking", "text"], True),
        ({"type": "adaptive"}, ["thinking", "text"], True),
        ({"type": "adaptive", "display": "omitted"}, ["thinking", "text"], False),
        ({"type": "disabled"}, ["text"], True),
        (None, ["text"], True),
    ],
)
def test_answer_thinks_when_asked_to(thinking: Json | None, kinds: list[str], shown: bool) -> None:
    reply = ask(thinking=thinking)
    assert [block.kind for block in reply.content] == kinds
    assert bool(reply.content[0].text) is shown


def test_answer_follows_a_json_schema() -> None:
    schema = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}
    reply = ask(output_config={"format": {"type": "json_schema", "schema": schema}})
    assert json.loads(reply.content[0].text) == {"title": "demo"}


def test_answer_ends_at_a_stop_sequence() -> None:
    reply = ask(stop_sequences=["", "no such words", " model", "demo"])
    assert reply.content[0].text == "This is a "
    assert (reply.stop_reason, reply.stop_sequence) == ("stop_sequence", "demo")


@given(
    max_tokens=st.integers(1, 200),
    text=st.sampled_from(["Hi", "weather 日本 ééé", "run " * 90]),
    thinking=st.sampled_from(
        [None, {"type": "adaptive"}, {"type": "enabled", "display": "omitted"}]
    ),
)
def test_answer_never_exceeds_max_tokens(max_tokens: int, text: str, thinking: Json | None) -> None:
    reply = said(text, max_tokens=max_tokens, thinking=thinking, tools=[WEATHER, BASH])
    assert 1 <= reply.output_tokens <= max_tokens
    whole = said(text, max_tokens=10_000, thinking=thinking, tools=[WEATHER, BASH])
    assert (reply.stop_reason == "max_tokens") == (reply.content != whole.content)


CASES: list[Json] = [
    {},
    {"thinking": {"type": "adaptive"}},
    {"thinking": {"type": "adaptive", "display": "omitted"}, "max_tokens": 20},
    {"messages": [{"role": "user", "content": "weather"}], "tools": [WEATHER]},
    {"tools": [WEATHER], "tool_choice": {"type": "any"}, "max_tokens": 1},
    {"stop_sequences": ["This"]},
]


@pytest.mark.parametrize("fields", CASES)
def test_stream_says_the_same_as_the_json_answer(fields: Json) -> None:
    reply = ask(**fields)
    assert assembled(events(reply)) == json.loads(as_json(reply))


@pytest.mark.parametrize("fields", CASES)
def test_stream_follows_the_grammar(fields: Json) -> None:
    stream = events(ask(**fields))
    kinds = " ".join(event["type"] for event in stream)
    block = r"content_block_start( content_block_delta)* content_block_stop "
    assert re.fullmatch(rf"message_start ping ({block})*message_delta message_stop", kinds)
    indexes = [event["index"] for event in stream if "index" in event]
    assert indexes == sorted(indexes)
    opening = stream[0]["message"]
    assert (opening["content"], opening["stop_reason"]) == ([], None)
    assert opening["usage"]["output_tokens"] == 1
    assert stream[-2]["usage"]["input_tokens"] == opening["usage"]["input_tokens"]


def test_stream_cuts_tool_input_into_fragments() -> None:
    stream = events(said("weather", tools=[WEATHER]))
    pieces = [
        event["delta"]["partial_json"]
        for event in stream
        if event.get("delta", {}).get("type") == "input_json_delta"
    ]
    assert pieces[0] == ""
    assert len(pieces) > 3


@given(st.text(max_size=300))
def test_stream_loses_no_character(text: str) -> None:
    reply = said(text or "x")
    assert assembled(events(reply))["content"][0]["text"] == reply.content[0].text


def schemas(depth: int = 2) -> st.SearchStrategy[Json]:
    leaf: st.SearchStrategy[Json] = st.one_of(
        st.just({"type": "boolean"}),
        st.just({"type": "null"}),
        st.just({}),
        st.just({"type": ["string", "null"]}),
        st.just({"const": [1]}),
        st.lists(st.integers(), min_size=1, max_size=3).map(lambda values: {"enum": values}),
        st.tuples(st.integers(-9, 9), st.integers(0, 9)).map(
            lambda pair: {"type": "integer", "minimum": pair[0], "maximum": sum(pair)}
        ),
        st.tuples(st.integers(0, 9), st.integers(0, 9)).map(
            lambda pair: {"type": "string", "minLength": pair[0], "maxLength": sum(pair)}
        ),
    )
    if depth == 0:
        return leaf
    inner = schemas(depth - 1)
    return st.one_of(
        leaf,
        st.tuples(inner, st.integers(0, 3)).map(
            lambda pair: {"type": "array", "items": pair[0], "minItems": pair[1]}
        ),
        st.dictionaries(st.text(max_size=3), inner, max_size=3).map(
            lambda known: {"type": "object", "properties": known, "required": list(known)}
        ),
        inner.map(lambda one: {"anyOf": [one, {"type": "string"}]}),
        inner.map(lambda one: {"$ref": "#/$defs/it", "$defs": {"it": one}}),
    )


@settings(max_examples=60)
@given(st.dictionaries(st.sampled_from("abc"), schemas(), max_size=3))
def test_sample_satisfies_its_schema(known: Json) -> None:
    defs: Json = {}
    for name, schema in known.items():
        # References are resolved from the root, so definitions found below move there.
        defs |= {f"{name}{index}": d for index, d in enumerate(_hoist(schema, name))}
    schema = {"type": "object", "properties": known, "required": list(known), "$defs": defs}
    jsonschema.validate(sample(schema), schema)


def _hoist(schema: Json, name: str) -> list[Json]:
    """Take every nested `$defs` out and point its reference at the root's."""
    found: list[Json] = []
    pending = [schema]
    while pending:
        one = pending.pop()
        if "$defs" in one:
            inner = one.pop("$defs")["it"]
            one["$ref"] = f"#/$defs/{name}{len(found)}"
            found.append(inner)
            pending.append(inner)
        pending += [inner for inner in one.get("anyOf", []) if isinstance(inner, dict)]
        pending += list(one.get("properties", {}).values())
        pending += [one["items"]] if "items" in one else []
    return found


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "minItems": 10**12},
        {"type": "string", "minLength": 10**12},
        {"$ref": "#"},
        {"type": "object", "required": ["a"], "properties": {"a": {"$ref": "#"}}},
        {"$ref": "#/nowhere/0"},
    ],
)
def test_sample_of_a_hostile_schema_is_small(schema: Json) -> None:
    assert len(json.dumps(sample(schema))) < 2000
