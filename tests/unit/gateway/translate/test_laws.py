"""Laws of translation, for inputs nobody thought of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.settings import ProviderSettings
from gateway.errors import RequestError, UpstreamError
from gateway.providers import PROVIDERS
from gateway.translate import TRANSLATORS, Translator, Wire
from gateway.wire.form import OPENAI

ROOT = Path(__file__).parents[3] / "golden" / "translate"
TO_CHAT = TRANSLATORS[Wire.MESSAGES, Wire.CHAT]
TO_MESSAGES = TRANSLATORS[Wire.CHAT, Wire.MESSAGES]
DIRECTIONS: Mapping[str, Translator] = {
    f"{client}_{upstream}": row for (client, upstream), row in TRANSLATORS.items()
}

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
said = texts.filter(str.strip)  # what Anthropic takes for a text
names = st.from_regex(r"[a-zA-Z0-9_-]{1,12}", fullmatch=True)
inputs = st.dictionaries(texts, st.one_of(st.integers(-9, 9), texts, st.none()), max_size=3)


@st.composite
def conversations(draw: st.DrawFn) -> list[dict[str, object]]:
    """Draw turns of text, and of calls with their results."""
    turns: list[dict[str, object]] = [{"role": "user", "content": draw(said)}]
    for number in range(draw(st.integers(0, 3))):
        calls = [
            {"type": "tool_use", "id": f"toolu_{number}_{at}", "name": name, "input": fields}
            for at, (name, fields) in enumerate(
                draw(st.lists(st.tuples(names, inputs), max_size=3))
            )
        ]
        words = draw(st.lists(said, min_size=0 if calls else 1, max_size=1))
        blocks = [{"type": "text", "text": text} for text in words]
        turns.append({"role": "assistant", "content": blocks + calls})
        results = [
            {"type": "tool_result", "tool_use_id": call["id"], "content": draw(said)}
            for call in calls
        ]
        more = [{"type": "text", "text": draw(said)}]
        turns.append({"role": "user", "content": results + more})
    return turns


@given(turns=conversations(), system=st.one_of(st.none(), said))
def test_there_and_back_keeps_texts_and_tool_calls(
    turns: list[dict[str, object]], system: str | None
) -> None:
    request = {"model": "m", "max_tokens": 7, "messages": turns} | (
        {"system": system} if system else {}
    )
    there = TO_CHAT.request(json.dumps(request).encode(), "gpt")
    back = json.loads(TO_MESSAGES.request(there, "m"))
    assert back["messages"] == [plain(turn) for turn in turns]
    assert back.get("system") == system
    assert back["max_tokens"] == 7


@given(turns=conversations(), system=st.one_of(st.none(), said))
def test_both_clients_ask_an_upstream_the_same(
    turns: list[dict[str, object]], system: str | None
) -> None:
    fields = {"system": system} if system else {}
    request = {"model": "m", "max_tokens": 70, "messages": turns} | fields
    body = json.dumps(request).encode()
    chat = TO_CHAT.request(body, "m")
    for upstream in (Wire.OLLAMA, Wire.RESPONSES):
        by_messages = TRANSLATORS[Wire.MESSAGES, upstream].request(body, "m")
        by_chat = TRANSLATORS[Wire.CHAT, upstream].request(chat, "m")
        assert conversation(by_chat, upstream) == conversation(by_messages, upstream)


@given(turns=conversations(), kind=st.sampled_from(sorted(PROVIDERS)))
def test_every_provider_is_shown_the_same_conversation(
    turns: list[dict[str, object]], kind: str
) -> None:
    body = json.dumps({"model": "m", "max_tokens": 7, "messages": turns}).encode()
    form = PROVIDERS[kind].form(ProviderSettings(type=kind), "m")
    sent, plainly = (json.loads(TO_CHAT.request(body, "m", one)) for one in (form, OPENAI))
    for message, usual in zip(sent["messages"], plainly["messages"], strict=True):
        thought = message.pop(form.thinking_field, None)
        assert (thought is not None) is (form.thinking_field is not None and is_answer(message))
        assert message | {"content": message["content"] or None} == (
            usual | {"content": usual["content"] or None}
        )
    assert sent[form.limit] == plainly[OPENAI.limit] == 7


def is_answer(message: Mapping[str, object]) -> bool:
    return message["role"] == "assistant"


def conversation(body: bytes, upstream: Wire) -> list[object]:
    """Return what the model is shown; instructions have two places in the Responses API."""
    document = json.loads(body)
    if upstream is Wire.OLLAMA:
        return list(document["messages"])
    found = [one for one in document["input"] if one.get("role") != "system"]
    named = [one["content"] for one in document["input"] if one.get("role") == "system"]
    return [document.get("instructions", *named or [None]), *map(readable, found)]


def readable(item: dict[str, object]) -> dict[str, object]:
    """Return an item with its arguments decoded: two spellings of one object are the same."""
    arguments = item.get("arguments")
    return item | ({"arguments": json.loads(arguments)} if isinstance(arguments, str) else {})


def plain(turn: Mapping[str, object]) -> dict[str, object]:
    """Return a turn with a single text as a string: the two are one to both formats."""
    content = turn["content"]
    if isinstance(content, list) and [block["type"] for block in content] == ["text"]:
        content = content[0]["text"]
    return {"role": turn["role"], "content": content}


@given(
    calls=st.lists(inputs, min_size=1, max_size=4),
    order=st.randoms(use_true_random=False),
    size=st.integers(1, 7),
)
def test_mixed_arguments_reach_each_call_whole(
    calls: list[dict[str, object]], order: Random, size: int
) -> None:
    queues = []
    for index, fields in enumerate(calls):
        text = json.dumps(fields)
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        queues.append([chunk(index, "", f"t{index}"), *(chunk(index, one) for one in pieces)])
    opened = [queue.pop(0) for queue in queues]
    mixed = list(opened)
    waiting = [index for index, queue in enumerate(queues) for _ in queue]
    order.shuffle(waiting)
    mixed += [queues[index].pop(0) for index in waiting]
    stream = TO_CHAT.stream()
    finish = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}\n\n'
    produced = stream.feed(b"".join(mixed)) + stream.feed(finish + b"data: [DONE]\n\n")
    assert read_calls(produced) == [(f"t{index}", fields) for index, fields in enumerate(calls)]
    assert stream.complete


blanks = st.sampled_from(["", "\n", " \n\n", "\t"])


@given(
    calls=st.lists(inputs, min_size=1, max_size=3),
    between=st.lists(st.tuples(blanks, blanks), min_size=1, max_size=9),
    size=st.integers(1, 7),
    one_index=st.booleans(),
    repeats=st.booleans(),
)
def test_blanks_between_the_fragments_of_calls_change_nothing(
    calls: list[dict[str, object]],
    between: list[tuple[str, str]],
    size: int,
    *,
    one_index: bool,
    repeats: bool,
) -> None:
    """Also where all calls have one index and no id, and where each fragment repeats the name."""
    pieces = []
    for index, fields in enumerate(calls):
        text = json.dumps(fields)
        at = 0 if one_index else index
        pieces.append(nameless_chunk(at, "", f"t{index}"))
        name = f"t{index}" if repeats else ""
        fragments = (text[one : one + size] for one in range(0, len(text), size))
        pieces += (nameless_chunk(at, fragment, name) for fragment in fragments)
    stream, produced = TO_CHAT.stream(), b""
    for number, piece in enumerate(pieces):
        content, thinking = between[number % len(between)]
        delta = {"index": 0, "delta": {"content": content, "reasoning_content": thinking}}
        produced += stream.feed(piece + b"data: " + json.dumps({"choices": [delta]}).encode())
        produced += stream.feed(b"\n\n")
    finish = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}\n\n'
    produced += stream.feed(finish + b"data: [DONE]\n\n")
    assert read_calls(produced) == [(f"t{index}", fields) for index, fields in enumerate(calls)]


def nameless_chunk(index: int, arguments: str, name: str = "") -> bytes:
    """Return a fragment of a call as vLLM sends it: with an empty id, and a name at its begin."""
    function = {"name": name, "arguments": arguments}
    delta = {"tool_calls": [{"index": index, "id": "", "function": function}]}
    return b"data: " + json.dumps({"choices": [{"index": 0, "delta": delta}]}).encode() + b"\n\n"


words = st.one_of(st.sampled_from(["", " ", "\n"]), texts)


@st.composite
def chats(draw: st.DrawFn) -> list[dict[str, object]]:
    """Draw messages of an OpenAI client: instructions anywhere, answers that say nothing."""
    messages: list[dict[str, object]] = []
    for number in range(draw(st.integers(0, 6))):
        for _ in range(draw(st.integers(0, 2))):
            role = draw(st.sampled_from(["system", "developer", "user"]))
            messages.append({"role": role, "content": draw(said if role == "user" else words)})
        ids = [f"call_{number}_{at}" for at in range(draw(st.integers(0, 2)))]
        calls = [{"id": one, "function": {"name": "t", "arguments": "{}"}} for one in ids]
        answer = {"role": "assistant", "content": draw(words)}
        messages.append(answer | ({"tool_calls": calls} if calls else {}))
        for one in ids:
            messages += [{"role": "system", "content": draw(words)}] * draw(st.integers(0, 1))
            messages.append({"role": "tool", "tool_call_id": one, "content": draw(words)})
    messages.append({"role": "user", "content": draw(said)})
    return messages


@given(messages=chats())
def test_chat_becomes_a_conversation_that_anthropic_takes(
    messages: list[dict[str, object]],
) -> None:
    body = json.dumps({"model": "m", "messages": messages}).encode()
    turns = json.loads(TO_MESSAGES.request(body, "claude"))["messages"]
    called: list[str] = []
    before = None
    for turn in turns:
        blocks = turn["content"]
        if isinstance(blocks, str):
            blocks = [{"type": "text", "text": blocks}]
        assert turn["role"] in {"user", "assistant"}
        assert (turn["role"], before) != ("user", "user")
        if turn["role"] == "user":
            results = [block["tool_use_id"] for block in blocks[: len(called)] if called]
            assert results == called
        assert all(block["type"] != "tool_result" for block in blocks[len(called) :])
        assert blocks
        assert all(block["text"].strip() for block in blocks if block["type"] == "text")
        called = [block["id"] for block in blocks if block["type"] == "tool_use"]
        before = turn["role"]


def chunk(index: int, arguments: str, name: str | None = None) -> bytes:
    function = {"arguments": arguments} | ({"name": name} if name else {})
    fragment = {"index": index, "function": function} | ({"id": f"c{name}"} if name else {})
    delta = {"index": 0, "delta": {"tool_calls": [fragment]}}
    return b"data: " + json.dumps({"choices": [delta]}).encode() + b"\n\n"


def read_calls(data: bytes) -> list[tuple[str, object]]:
    calls: list[tuple[str, str]] = []
    for part in data.split(b"\n\n")[:-1]:
        event = json.loads(part.partition(b"data: ")[2])
        if event["type"] == "content_block_start":
            calls.append((event["content_block"]["name"], ""))
        elif event["type"] == "content_block_delta":
            name, text = calls[event["index"]]
            calls[event["index"]] = (name, text + event["delta"]["partial_json"])
    return [(name, json.loads(text)) for name, text in calls]


def damaged(kind: str) -> st.SearchStrategy[tuple[str, bytes]]:
    """Draw a golden input of which a part is replaced."""
    paths = sorted(ROOT.glob(f"*/*.{kind}.in.*"))

    def damage(path: Path, at: float, length: int, new: bytes) -> tuple[str, bytes]:
        data = path.read_bytes()
        start = int(at * len(data))
        return path.parent.name, data[:start] + new + data[start + length :]

    odd = [b"null", b"0", b"-1", b'"x"', b"[]", b"{}", b'"\\ud83d"', b"\n\n", b"\r", b'"type":']
    new = st.one_of(st.binary(max_size=4), st.sampled_from(odd))
    return st.builds(damage, st.sampled_from(paths), st.floats(0, 1), st.integers(0, 30), new)


@given(damaged("request"))
def test_damaged_request_is_translated_or_refused(case: tuple[str, bytes]) -> None:
    direction, body = case
    try:
        assert isinstance(json.loads(DIRECTIONS[direction].request(body, "m")), dict)
    except RequestError as error:
        assert error.status == 400
        assert str(error)


@given(damaged("answer"))
def test_damaged_answer_is_translated_or_refused(case: tuple[str, bytes]) -> None:
    direction, body = case
    try:
        assert isinstance(json.loads(DIRECTIONS[direction].answer(body)), dict)
    except UpstreamError as error:
        assert str(error)


@given(damaged("error"), st.integers(400, 599))
def test_damaged_error_is_always_translated(case: tuple[str, bytes], status: int) -> None:
    direction, body = case
    assert json.loads(DIRECTIONS[direction].error(status, body))["error"]["message"]


@given(damaged("stream"), st.integers(1, 200))
def test_damaged_stream_ends_one_way_at_any_split(case: tuple[str, bytes], size: int) -> None:
    direction, data = case
    whole, pieces = DIRECTIONS[direction].stream(), DIRECTIONS[direction].stream()
    first = whole.feed(data) + whole.end()
    second = b"".join(pieces.feed(data[at : at + size]) for at in range(0, len(data), size))
    second += pieces.end()
    assert first.count(b"\n\n") == second.count(b"\n\n")
    assert whole.complete == pieces.complete
    assert whole.reading() == pieces.reading()
    assert first


@pytest.mark.parametrize("direction", sorted(DIRECTIONS))
def test_end_is_said_once(direction: str) -> None:
    stream = DIRECTIONS[direction].stream()
    assert stream.end()
    assert stream.end() == b""
    assert stream.feed(b"data: {}\n\n") == b""
