"""Streams that end badly, mix their calls or grow without end, and the grammar of every answer."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import anthropic
import openai
import pytest

from gateway.translate import StreamTranslator, Translator, chat_chunks, message_events, ndjson, sse
from gateway.wire.usage import Usage

Translators = Callable[[], Mapping[str, Translator]]

ROOT = Path(__file__).parents[3] / "golden" / "translate"
TO_MESSAGES = sorted(ROOT.glob("messages_*/*.stream.out.sse"))
WHOLE = [path for path in TO_MESSAGES if b"event: message_stop" in path.read_bytes()]
BROKEN = [path for path in TO_MESSAGES if path not in WHOLE]
TO_CHAT = sorted(ROOT.glob("chat_*/*.stream.out.sse"))
WHOLE_CHAT = [path for path in TO_CHAT if b"data: [DONE]" in path.read_bytes()]
BROKEN_CHAT = [path for path in TO_CHAT if path not in WHOLE_CHAT]


def named(path: Path) -> str:
    return f"{path.parent.name}-{path.name.partition('.')[0]}"


def source(path: Path) -> Path:
    """Return the upstream's stream that a client's was made of."""
    (found,) = path.parent.glob(f"{path.name.partition('.')[0]}.stream.in.*")
    return found


def event(document: object) -> bytes:
    return b"data: " + json.dumps(document).encode() + b"\n\n"


def call(index: int, arguments: str, name: str | None = None) -> bytes:
    function = {"arguments": arguments} | ({"name": name} if name else {})
    fragment = {"index": index, "function": function} | ({"id": f"call_{name}"} if name else {})
    return event({"choices": [{"index": 0, "delta": {"tool_calls": [fragment]}}]})


def text(content: str) -> bytes:
    return event({"choices": [{"index": 0, "delta": {"content": content}}]})


DELTAS = {
    "text": {"text_delta"},
    "thinking": {"thinking_delta", "signature_delta"},
    "tool_use": {"input_json_delta"},
}


def check_grammar(data: bytes) -> None:
    """Assert the order every answer keeps, whole or broken off."""
    events = [json.loads(part.partition(b"data: ")[2]) for part in data.split(b"\n\n") if part]
    assert [one["type"] for one in events].count("message_start") <= 1
    opened, kind, signed = -1, None, False
    for one in events:
        match one["type"]:
            case "content_block_start":
                assert (kind, one["index"]) == (None, opened + 1)
                opened, kind = one["index"], one["content_block"]["type"]
            case "content_block_delta":
                assert one["index"] == opened
                assert one["delta"]["type"] in DELTAS[str(kind)]
                signed = one["delta"]["type"] == "signature_delta"
            case "content_block_stop" if kind == "thinking" and not signed:
                pytest.fail("thinking ends without a signature")
            case "content_block_stop":
                assert (kind is None, one["index"]) == (False, opened)
                kind = None
            case "message_delta" | "message_stop":
                assert kind is None
    last = events[-1]["type"]
    assert last in {"message_stop", "error"}
    assert [one["type"] for one in events].count(last) == 1


@pytest.mark.parametrize("path", TO_MESSAGES, ids=named)
def test_blocks_stand_one_after_the_other(path: Path) -> None:
    check_grammar(path.read_bytes())


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        ((call(0, "{}"),), "a tool call begins without its name"),
        ((call(0, '{"a":', "a"), text("x"), call(0, "1}")), "a tool call goes on after its end"),
        ((b'data: {"error": {"message": "m", "code": 529}}\n\n',), "m"),
        ((b"data: [DONE]\n\n",), "the upstream's answer broke off before its end"),
        ((), "the upstream's answer broke off before its end"),
        ((b"data: \xff\n\n",), "the upstream's answer is no chat completion"),
        ((b"data: " + b"[" * 100_000 + b"\n\n",), "the upstream's answer is no chat completion"),
    ],
)
def test_broken_chat_stream_ends_in_an_error(
    pieces: tuple[bytes, ...], message: str, translators: Translators
) -> None:
    stream = translators()["messages_chat"].stream()
    produced = b"".join([*map(stream.feed, pieces), stream.end()])
    check_grammar(produced)
    assert last_error(produced).startswith(message)
    assert not stream.complete


def test_blank_fragment_after_a_call_is_nothing(translators: Translators) -> None:
    stream = translators()["messages_chat"].stream()
    produced = stream.feed(call(0, "{}", "a") + text("x") + call(0, "\n") + text("y"))
    assert b'"y"' in produced


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        ((b'{"message": {"content": "a"}}\n',), "the upstream's answer broke off before its end"),
        ((b'{"done": true',), "the upstream's answer broke off before its end"),
        ((), "the upstream's answer broke off before its end"),
        ((b'{"error": "no memory"}\n',), "no memory"),
        ((b'{"error": "no memory"}',), "no memory"),
        ((b'{"error": {"message": "no memory"}}\n',), "no memory"),
        ((b"[1]\n",), "the upstream's answer is no chat answer of Ollama"),
        ((b"[" * 100_000 + b"\n",), "the upstream's answer is no chat answer of Ollama"),
        ((b'{"model": "\xff"}\n',), "the upstream's answer is no chat answer of Ollama"),
    ],
)
def test_broken_ollama_stream_ends_in_an_error(
    pieces: tuple[bytes, ...], message: str, translators: Translators
) -> None:
    for direction in ("messages_ollama", "chat_ollama"):
        stream = translators()[direction].stream()
        produced = b"".join([*map(stream.feed, pieces), stream.end()])
        assert last_error(produced).startswith(message)
        assert not stream.complete
        assert b"[DONE]" not in produced


@pytest.mark.parametrize("size", [1000, 70_000])
@pytest.mark.parametrize(
    ("direction", "message"),
    [
        ("messages_chat", "an event of the answer is too long"),
        ("messages_ollama", "a line of the answer is too long"),
    ],
)
def test_endless_event_ends_in_an_error(
    direction: str,
    message: str,
    size: int,
    translators: Translators,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 100_000)
    monkeypatch.setattr(ndjson, "MAX_LINE_BYTES", 100_000)
    stream = translators()[direction].stream()
    produced = b"".join(stream.feed(b"x" * size) for _ in range(0, 200_000, size))
    assert last_error(produced) == message


def test_held_arguments_have_a_bound(
    translators: Translators, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(message_events, "MAX_HELD_BYTES", 1000)
    stream = translators()["messages_chat"].stream()
    produced = stream.feed(call(0, '{"a":', "a") + call(1, "", "b"))
    produced += b"".join(stream.feed(call(1, "x" * 100)) for _ in range(11))
    assert last_error(produced) == "tool calls are too long"


def test_completed_calls_do_not_count_as_held(
    translators: Translators, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(message_events, "MAX_HELD_BYTES", 1000)
    stream = translators()["messages_chat"].stream()
    arguments = json.dumps({"a": "x" * 600})
    produced = b"".join(stream.feed(call(number, arguments, "a")) for number in range(5))
    assert b"event: error" not in produced


def test_number_of_calls_has_a_bound(
    translators: Translators, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(message_events, "MAX_CALLS", 3)
    monkeypatch.setattr(chat_chunks, "MAX_CALLS", 3)
    one = {"function": {"name": "t", "arguments": {}}}
    line = json.dumps({"message": {"tool_calls": [one]}}).encode() + b"\n"
    for direction in ("messages_ollama", "chat_ollama"):
        stream = translators()[direction].stream()
        produced = b"".join(stream.feed(line) for _ in range(4))
        assert last_error(produced) == "too many tool calls"


def test_arguments_without_a_call_end_a_responses_stream(translators: Translators) -> None:
    told = {"type": "response.function_call_arguments.delta", "output_index": 0, "delta": "{"}
    for direction in ("messages_responses", "chat_responses"):
        produced = translators()[direction].stream().feed(event(told))
        assert last_error(produced) == "arguments of a tool call that has not begun"


def test_blanks_that_never_end_are_not_held(
    translators: Translators, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(message_events, "MAX_BLANKS", 5)
    stream = translators()["messages_chat"].stream()
    produced = b"".join(stream.feed(text("\n\n")) for _ in range(9))
    assert b"content_block" not in produced
    assert b'"text":"\\n\\n\\n\\n\\na"' in stream.feed(text("a"))


def test_ids_of_an_answers_calls_differ(translators: Translators) -> None:
    calls = [{"id": one, "function": {"name": "t", "arguments": {}}} for one in ("a", "a", "7", "")]
    line = json.dumps({"message": {"tool_calls": calls}, "done": True}).encode()
    for direction in ("messages_ollama", "chat_ollama"):
        translator = translators()[direction]
        stream = translator.stream()
        for produced in (translator.answer(line), stream.feed(line + b"\n") + stream.end()):
            prefix = "toolu_" if direction.startswith("messages") else "call_"
            ids = re.findall(rf'"id":"(a|{prefix}\d+)"', produced.decode())
            assert (len({*ids}), ids[0]) == (4, "a")


def test_usage_chunk_is_left_out_for_a_client_that_did_not_ask(translators: Translators) -> None:
    for direction in ("chat_messages", "chat_responses", "chat_ollama"):
        stream = translators()[direction].stream(trailing_usage=False)
        produced = stream.feed(source(ROOT / direction / "text.stream.out.sse").read_bytes())
        assert b"usage" not in produced
        assert produced.endswith(b"data: [DONE]\n\n")
        assert stream.reading().usage is not None


def test_call_without_arguments_gets_an_empty_object(translators: Translators) -> None:
    item = {"type": "function_call", "call_id": "c", "name": "t", "arguments": ""}
    stream = translators()["chat_responses"].stream()
    stream.feed(event({"type": "response.output_item.added", "output_index": 0, "item": item}))
    produced = stream.feed(event({"type": "response.completed", "response": {"output": []}}))
    assert b'{"index":0,"function":{"arguments":"{}"}}' in produced


def test_answer_given_up_is_an_error_without_an_end_of_its_own(translators: Translators) -> None:
    stream = translators()["messages_chat"].stream()
    stream.feed(event({"choices": [{"index": 0, "delta": {}, "finish_reason": "abort"}]}))
    assert last_error(stream.end()) == "the upstream gave up: abort"


def test_arguments_are_sent_as_they_come(translators: Translators) -> None:
    stream = translators()["messages_chat"].stream()
    stream.feed(call(0, "", "a"))
    for fragment in ('{"a"', ":1", "}"):
        assert json.dumps(fragment).encode() in stream.feed(call(0, fragment))


def test_tokens_are_sent_as_they_come(translators: Translators) -> None:
    for direction, translator in translators().items():
        stream = translator.stream()
        path = source(ROOT / direction / "text.stream.out.sse")
        end = b"\n" if path.suffix == ".ndjson" else b"\n\n"
        parts = path.read_bytes().split(end)
        words = [part for part in parts if "Grü".encode() in part]
        produced = [stream.feed(part + end) for part in parts]
        assert "Grü".encode() in produced[parts.index(words[0])]


@pytest.fixture
def serve() -> Iterator[Callable[[bytes], str]]:
    """Return a function that serves one event stream to whoever asks, and gives its address."""
    servers: list[ThreadingHTTPServer] = []

    def start(data: bytes) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def accumulate(address: str) -> anthropic.types.Message:
    with (
        anthropic.Anthropic(base_url=address, api_key="k", max_retries=0) as client,
        client.messages.stream(
            model="m", max_tokens=9, messages=[{"role": "user", "content": "x"}]
        ) as stream,
    ):
        return stream.get_final_message()


@pytest.mark.parametrize("path", WHOLE, ids=named)
def test_anthropic_sdk_reads_every_whole_stream(
    path: Path, serve: Callable[[bytes], str], translators: Translators
) -> None:
    message = accumulate(serve(path.read_bytes()))
    stream = translators()[path.parent.name].stream()
    stream.feed(source(path).read_bytes())
    stream.end()
    told = stream.reading().usage or Usage()
    assert (message.usage.input_tokens, message.usage.output_tokens) == (
        told.input_tokens,
        told.output_tokens,
    )
    assert message.id == "msg_0001"
    calls = [block for block in message.content if block.type == "tool_use"]
    assert bool(calls) == (message.stop_reason == "tool_use")
    assert all(isinstance(one.input, dict) for one in calls)


@pytest.mark.parametrize("path", BROKEN, ids=named)
def test_anthropic_sdk_raises_for_every_broken_stream(
    path: Path, serve: Callable[[bytes], str]
) -> None:
    with pytest.raises(anthropic.APIStatusError) as caught:
        accumulate(serve(path.read_bytes()))
    assert last_error(path.read_bytes()) in str(caught.value)


def read_chunks(address: str) -> openai.types.chat.ChatCompletion:
    with (
        openai.OpenAI(base_url=address, api_key="k", max_retries=0) as client,
        client.chat.completions.stream(
            model="m", messages=[{"role": "user", "content": "x"}]
        ) as stream,
    ):
        return stream.get_final_completion()


@pytest.mark.parametrize("path", WHOLE_CHAT, ids=named)
def test_openai_sdk_reads_every_whole_stream(
    path: Path, serve: Callable[[bytes], str], translators: Translators
) -> None:
    stream = translators()[path.parent.name].stream()
    stream.feed(source(path).read_bytes())
    stream.end()
    told = stream.reading().usage
    if b'"length"' in path.read_bytes() or b'"content_filter"' in path.read_bytes():
        with pytest.raises(openai.OpenAIError):  # the SDK's own name for both
            read_chunks(serve(path.read_bytes()))
        return
    completion = read_chunks(serve(path.read_bytes()))
    assert (completion.usage is None) == (told is None)
    if completion.usage is not None and told is not None:
        assert completion.usage.completion_tokens == told.output_tokens
    (choice,) = completion.choices
    calls = choice.message.tool_calls or []
    assert bool(calls) == (choice.finish_reason == "tool_calls")
    for call_ in calls:
        assert call_.type == "function"
        assert isinstance(json.loads(call_.function.arguments), dict)
    assert len({call_.id for call_ in calls}) == len(calls)


@pytest.mark.parametrize("path", BROKEN_CHAT, ids=named)
def test_openai_sdk_raises_for_every_broken_stream(
    path: Path, serve: Callable[[bytes], str]
) -> None:
    with pytest.raises(openai.APIError) as caught:
        read_chunks(serve(path.read_bytes()))
    assert last_error(path.read_bytes()) in str(caught.value)


def last_error(data: bytes) -> str:
    document = json.loads(data.rpartition(b"data: ")[2])
    return str(document["error"]["message"])


def test_protocol_is_kept_by_every_stream(translators: Translators) -> None:
    streams: list[StreamTranslator] = [one.stream() for one in translators().values()]
    assert not any(stream.complete for stream in streams)
