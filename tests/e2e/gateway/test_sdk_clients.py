"""The vendors' own SDKs through a real gateway: each of them against upstreams of either format."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass

import anthropic
import openai
import pytest
from anthropic.types import Message
from openai.types.chat import ChatCompletion
from pydantic import BaseModel

from tests.e2e.gateway.sdk_stage import Stage
from tests.e2e.gateway.threaded import Connection, Json, Provider, Seen

QUESTION = "How is the weather?"
SCHEMA = {"type": "object", "properties": {}}
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()


@dataclass(frozen=True, slots=True)
class Answer:
    """What an SDK made of an answer."""

    text: str
    calls: tuple[tuple[str, str, Json], ...]
    tokens: tuple[int, int]
    stop: str
    pieces: int = 0


@dataclass(frozen=True, slots=True)
class Asked:
    """What a test asks; each SDK has its own words for it."""

    streamed: bool = False
    tools: bool = False
    image: bool = False
    results: bool = False


# -- the two SDKs


class Forecast(BaseModel):
    """A structured answer."""

    town: str
    degrees: int


@dataclass(frozen=True, slots=True)
class Sdks:
    """A client of each SDK; their pools are made once, that takes longer than a request."""

    anthropic: anthropic.Anthropic
    openai: openai.OpenAI


@pytest.fixture(scope="module")
def sdks(stage: Stage) -> Iterator[Sdks]:
    url = stage.gateway.url
    http = anthropic.DefaultHttpxClient(trust_env=False)
    other = openai.DefaultHttpxClient(trust_env=False)
    with (
        anthropic.Anthropic(
            api_key="sk-ant-client", base_url=url, max_retries=0, http_client=http
        ) as client,
        openai.OpenAI(
            api_key="sk-openai-client", base_url=f"{url}/v1", max_retries=0, http_client=other
        ) as caller,
    ):
        yield Sdks(client, caller)


def ask_anthropic(stage: Stage, client: anthropic.Anthropic, model: str, asked: Asked) -> Answer:
    messages = list(anthropic_messages(stage, asked))
    tools = [{"name": name, "input_schema": SCHEMA} for _, name, _ in stage.calls]
    parameters: Json = {"model": model, "max_tokens": 100, "messages": messages}
    parameters |= {"tools": tools} if asked.tools else {}
    pieces = 0
    if asked.streamed:
        with client.messages.stream(**parameters) as stream:
            pieces = sum(event.type == "content_block_delta" for event in stream)
            message: Message = stream.get_final_message()
    else:
        message = client.messages.create(**parameters)
    blocks = [block for block in message.content if block.type == "tool_use"]
    return Answer(
        text="".join(block.text for block in message.content if block.type == "text"),
        calls=tuple((block.id, block.name, block.input) for block in blocks),
        tokens=(message.usage.input_tokens, message.usage.output_tokens),
        stop=str(message.stop_reason),
        pieces=pieces,
    )


def anthropic_messages(stage: Stage, asked: Asked) -> Iterator[Json]:
    source = {"type": "base64", "media_type": "image/png", "data": PNG}
    image = [{"type": "image", "source": source}] if asked.image else []
    yield {"role": "user", "content": [{"type": "text", "text": QUESTION}, *image]}
    if asked.results:
        used = {"type": "tool_use"}
        uses = [used | {"id": i, "name": n, "input": given} for i, n, given in stage.calls]
        yield {"role": "assistant", "content": uses}
        known = {"type": "tool_result"}
        results = [known | {"tool_use_id": i, "content": f"{n}: fine"} for i, n, _ in stage.calls]
        yield {"role": "user", "content": results}


def ask_openai(stage: Stage, client: openai.OpenAI, model: str, asked: Asked) -> Answer:
    functions = [{"name": name, "parameters": SCHEMA} for _, name, _ in stage.calls]
    parameters: Json = {"model": model, "max_tokens": 100}
    parameters |= {"messages": list(openai_messages(stage, asked))}
    if asked.tools:
        parameters |= {"tools": [{"type": "function", "function": one} for one in functions]}
    pieces = 0
    if asked.streamed:
        usage: Json = {"include_usage": True}
        with client.chat.completions.stream(**parameters, stream_options=usage) as stream:
            pieces = sum(event.type == "chunk" for event in stream)
            completion: ChatCompletion = stream.get_final_completion()
    else:
        completion = client.chat.completions.create(**parameters)
    (choice,) = completion.choices
    made: Json = choice.message.tool_calls or ()
    assert completion.usage is not None
    return Answer(
        text=choice.message.content or "",
        calls=tuple((c.id, c.function.name, json.loads(c.function.arguments)) for c in made),
        tokens=(completion.usage.prompt_tokens, completion.usage.completion_tokens),
        stop=str(choice.finish_reason),
        pieces=pieces,
    )


def openai_messages(stage: Stage, asked: Asked) -> Iterator[Json]:
    url = {"url": f"data:image/png;base64,{PNG}"}
    image = [{"type": "image_url", "image_url": url}] if asked.image else []
    yield {"role": "user", "content": [{"type": "text", "text": QUESTION}, *image]}
    if asked.results:
        given = [(i, {"name": n, "arguments": json.dumps(value)}) for i, n, value in stage.calls]
        calls = [{"id": i, "type": "function", "function": function} for i, function in given]
        yield {"role": "assistant", "content": None, "tool_calls": calls}
        for i, name, _ in stage.calls:
            yield {"role": "tool", "tool_call_id": i, "content": f"{name}: fine"}


# -- each SDK, each upstream


@dataclass(frozen=True, slots=True)
class Way:
    """Which SDK asks which upstream."""

    sdk: str
    upstream: str
    model: str

    def ask(self, stage: Stage, sdks: Sdks, **asked: bool) -> Answer:
        if self.sdk == "anthropic":
            return ask_anthropic(stage, sdks.anthropic, self.model, Asked(**asked))
        return ask_openai(stage, sdks.openai, self.model, Asked(**asked))

    def provider(self, stage: Stage) -> Provider:
        return {"messages": stage.messages, "chat": stage.chat}[self.upstream]

    def last(self, stage: Stage) -> Json:
        """Return the body of the last request as the upstream received it."""
        return self.provider(stage).seen[-1].json()

    @property
    def stops(self) -> tuple[str, str]:
        """Return how the SDK names an answer's end, and an end with calls."""
        return ("end_turn", "tool_use") if self.sdk == "anthropic" else ("stop", "tool_calls")


WAYS = (
    Way("anthropic", "messages", "own-claude"),
    Way("anthropic", "chat", "gpt-9"),
    Way("openai", "chat", "own-gpt"),
    Way("openai", "messages", "claude-9"),
)
each_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: f"{way.sdk}-to-{way.upstream}")
both_forms = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])


@pytest.fixture(autouse=True)
def scripts(stage: Stage) -> None:
    stage.speak()


@each_way
@both_forms
def test_text_and_tokens_arrive(stage: Stage, sdks: Sdks, way: Way, streamed: bool) -> None:
    found = way.ask(stage, sdks, streamed=streamed)
    assert (found.text, found.calls, found.tokens) == ("".join(stage.words), (), (12, 7))
    assert found.stop == way.stops[0]
    assert found.pieces >= (len(stage.words) if streamed else 0)
    assert way.last(stage)["model"] == way.model


@each_way
@both_forms
def test_parallel_tool_calls_make_the_round_trip(
    stage: Stage, sdks: Sdks, way: Way, streamed: bool
) -> None:
    calling = way.ask(stage, sdks, streamed=streamed, tools=True)
    assert (calling.calls, calling.stop) == (stage.calls, way.stops[1])
    answered = way.ask(stage, sdks, streamed=streamed, results=True)
    assert (answered.text, answered.stop) == ("".join(stage.words), way.stops[0])
    turns = way.last(stage)["messages"][1:]
    if way.upstream == "messages":
        sent = [block["input"] for block in turns[0]["content"]]
        blocks = turns[1]["content"]
        results = [(block["tool_use_id"], text_of(block["content"])) for block in blocks]
    else:
        sent = [json.loads(call["function"]["arguments"]) for call in turns[0]["tool_calls"]]
        results = [(turn["tool_call_id"], text_of(turn["content"])) for turn in turns[1:]]
    assert sent == [given for *_, given in stage.calls]
    assert results == [(call_id, f"{name}: fine") for call_id, name, _ in stage.calls]


def text_of(content: Json) -> str:
    """Return a content's text; both formats write one text in two ways."""
    return content if isinstance(content, str) else "".join(block["text"] for block in content)


@each_way
def test_image_reaches_the_upstream_in_its_own_form(stage: Stage, sdks: Sdks, way: Way) -> None:
    assert way.ask(stage, sdks, image=True).text == "".join(stage.words)
    block = way.last(stage)["messages"][0]["content"][1]
    if way.upstream == "messages":
        assert block["source"] == {"type": "base64", "media_type": "image/png", "data": PNG}
    else:
        assert block["image_url"]["url"] == f"data:image/png;base64,{PNG}"


@each_way
def test_structured_answer_is_parsed_by_the_sdk(stage: Stage, sdks: Sdks, way: Way) -> None:
    text = '{"town":"Ulm","degrees":21}'

    def script(seen: Seen, connection: Connection) -> None:
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        choice: Json = {"index": 0, "finish_reason": "stop"}
        choice |= {"message": {"role": "assistant", "content": text}}
        document: Json = {"id": "i", "model": "m", "object": "chat.completion", "created": 1}
        document |= {"choices": [choice], "usage": usage}
        if way.upstream == "messages":
            document = {"id": "i", "model": "m", "type": "message", "role": "assistant"}
            document |= {"content": [{"type": "text", "text": text}], "stop_reason": "end_turn"}
            document |= {"usage": {"input_tokens": 1, "output_tokens": 1}}
        connection.reply(200, document)

    way.provider(stage).script = script
    messages: Json = [{"role": "user", "content": QUESTION}]
    if way.sdk == "anthropic":
        found = sdks.anthropic.messages.parse(
            model=way.model, max_tokens=100, messages=messages, output_format=Forecast
        ).parsed_output
    else:
        completion = sdks.openai.chat.completions.parse(
            model=way.model, messages=messages, response_format=Forecast
        )
        found = completion.choices[0].message.parsed
    assert found == Forecast(town="Ulm", degrees=21)
    sent = way.last(stage)
    if way.upstream == "messages":
        schema = sent["output_config"]["format"]["schema"]
    else:
        schema = sent["response_format"]["json_schema"]["schema"]
    assert set(schema["properties"]) == {"town", "degrees"}


def test_credential_of_each_sdk_reaches_its_own_vendor_only(stage: Stage, sdks: Sdks) -> None:
    for way in WAYS:
        way.ask(stage, sdks)
    (own, translated), (bearer, keyed) = (
        [provider.seen[-2], provider.seen[-1]] for provider in (stage.messages, stage.chat)
    )
    credentials = {own.header("x-api-key"), own.header("authorization")} - {None}
    assert len(credentials) == 1
    assert credentials <= {"sk-ant-client", "Bearer sk-ant-client"}
    assert translated.header("x-api-key") == "sk-stage-0123456789"
    assert {one.header("authorization") for one in (bearer, keyed)} == {
        "Bearer sk-openai-client",
        "Bearer sk-stage-0123456789",
    }
    assert own.header("anthropic-version") == "2026-10-21"


def test_tokens_are_counted_by_the_provider_or_estimated(sdks: Sdks) -> None:
    messages: Json = [{"role": "user", "content": QUESTION}]
    counted = sdks.anthropic.messages.count_tokens(model="demo", messages=messages).input_tokens
    asked = sdks.anthropic.messages.create(model="demo", max_tokens=1, messages=messages)
    assert counted == asked.usage.input_tokens
    guess = sdks.anthropic.messages.with_raw_response.count_tokens(model="gpt-9", messages=messages)
    assert guess.headers["x-gateway-estimate"] == "true"
    assert guess.parse().input_tokens > 0


def test_demo_upstream_serves_the_sdk_of_the_other_vendor(sdks: Sdks) -> None:
    messages: Json = [{"role": "user", "content": "What is the weather in Lisbon?"}]
    parameters: Json = {"type": "object", "properties": {"location": {"type": "string"}}}
    parameters |= {"required": ["location"]}
    function: Json = {"name": "get_weather", "parameters": parameters}
    tools: Json = [{"type": "function", "function": function}]
    with sdks.openai.chat.completions.stream(
        model="demo", messages=messages, tools=tools
    ) as stream:
        turn = stream.get_final_completion().choices[0].message
    assert turn.tool_calls
    (call,) = turn.tool_calls
    assert json.loads(call.function.arguments) == {"location": "Lisbon"}
    said: Json = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
    called: Json = {"id": call.id, "type": "function"}
    called |= {"function": {"name": "get_weather", "arguments": call.function.arguments}}
    again = [*messages, {"role": "assistant", "tool_calls": [called]}, said]
    last = sdks.openai.chat.completions.create(model="demo", messages=again, tools=tools)
    assert last.choices[0].finish_reason == "stop"
    assert last.choices[0].message.content


def test_models_are_listed_for_both_sdks(stage: Stage, sdks: Sdks) -> None:
    row = {"type": "model", "id": "claude-9", "display_name": "Nine"}
    row |= {"created_at": "2026-01-01T00:00:00Z"}
    page = {"data": [row], "has_more": False, "first_id": "claude-9", "last_id": "claude-9"}

    def script(seen: Seen, connection: Connection) -> None:
        connection.reply(200, row if seen.target.endswith("/claude-9") else page)

    entry = {"object": "model", "id": "gpt-9", "created": 1, "owned_by": "openai"}

    def listed(seen: Seen, connection: Connection) -> None:
        one = seen.target.endswith("/gpt-9")
        connection.reply(200, entry if one else {"object": "list", "data": [entry]})

    stage.messages.script, stage.chat.script = script, listed
    assert [model.id for model in sdks.anthropic.models.list(limit=1000)] == ["claude-9"]
    assert sdks.anthropic.models.retrieve("claude-9").display_name == "Nine"
    assert stage.messages.seen[-2].target == "/v1/models?limit=1000"
    # The default provider is another vendor's, who is not shown the client's key.
    assert [model.id for model in sdks.openai.models.list()] == ["gpt-9"]
    assert sdks.openai.models.retrieve("gpt-9").created == 1
