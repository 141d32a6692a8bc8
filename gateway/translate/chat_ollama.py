"""A client speaks OpenAI chat completions, the upstream Ollama's own chat API. Pure.

What has another form there:
* Developer messages are system messages; all keep their place.
* A turn in which an image follows text becomes several messages, see `ollama_request.turn`.
* Arguments of tool calls are objects and no text; results name their tool.
* Tools that must not be called (`tool_choice` none) are left out; that one must be called cannot be
  said.
* Thinking is shown as `reasoning_content`, and what comes back so is sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from gateway.translate.chat_request import (
    NO_PARAMETERS,
    ONE_TIER,
    ONE_VERBOSITY,
    AssistantMessage,
    ChatRequest,
    Checks,
    FilePart,
    ImagePart,
    JsonForm,
    RefusalPart,
    SchemaForm,
    TextPart,
    ToolMessage,
    UserMessage,
    arguments_of,
    base64_of,
    read,
)
from gateway.translate.ollama_request import (
    UPSTREAM,
    Call,
    Calls,
    Message,
    OllamaRequest,
    Options,
    Part,
    Picture,
    Tool,
    ToolFunction,
    assistant,
    level,
    turn,
)
from gateway.translate.strict import inexpressible
from gateway.wire.decoding import given
from gateway.wire.form import OPENAI, Form

NOT_NEEDED: Mapping[str, str] = {
    "cache_control": "steers Anthropic's cache; Ollama keeps the last prompt by itself",
    "detail": "a hint on an image's resolution; the model's own is used",
    "json_schema.description": "words on the form of the answer; Ollama reads the schema's own",
    "json_schema.name": "OpenAI wants a name for every form; Ollama none",
    "json_schema.strict": "Ollama's answers follow a schema in any case",
    "prompt_cache_key": "routes to OpenAI's cache; Ollama keeps the last prompt by itself",
    "prompt_cache_retention": "keeps OpenAI's cache; Ollama keeps the last prompt by itself",
    "reasoning_effort": "models that cannot think refuse it, and most others know no levels; those "
    "of which levels are known get it, see `Form.efforts`",
    "safety_identifier": "who asks, for the provider's accounts; Ollama keeps none",
    "service_tier": "there is one class of service only",
    "user": "who asks, for the provider's accounts; Ollama keeps none",
}
"""Fields that are left out on the way there, beside those that every upstream goes without."""

_CHECKS: Checks = {
    **ONE_TIER,
    **ONE_VERBOSITY,
    "tool_choice": (
        lambda request: request.tool_choice in (None, "auto", "none"),
        "that a tool must be called",
    ),
    "parallel_tool_calls": (lambda request: request.parallel_tool_calls is not False, ""),
}


def translate_request(body: bytes, model: str, form: Form = OPENAI) -> bytes:
    """Return the upstream's request; raises RequestError (400)."""
    request = read(body, UPSTREAM, _CHECKS)
    translated = OllamaRequest(
        model=model,
        messages=tuple(_messages(request)),
        stream=bool(request.stream),
        options=_options(request),
        tools=tuple(_tools(request)),
        think=False
        if request.reasoning_effort == "none"
        else level(request.reasoning_effort, form),
        format=_format(request),
    )
    return msgspec.json.encode(translated)


def _messages(request: ChatRequest) -> Iterator[Message]:
    calls = Calls()
    for index, message in enumerate(request.messages):
        field = f"messages.{index}"
        if isinstance(message, AssistantMessage):
            yield _said(message, field, calls)
            continue
        parts = _parts(message.content, f"{field}.content")
        if isinstance(message, ToolMessage):
            yield calls.result(message.tool_call_id, parts, f"{field}.tool_call_id")
        else:
            yield from turn("user" if isinstance(message, UserMessage) else "system", parts)


def _said(message: AssistantMessage, field: str, calls: Calls) -> Message:
    content = message.content or ""
    parts = [content] if isinstance(content, str) else [_words(part) for part in content]
    made: list[Call] = []
    for at, call in enumerate(message.tool_calls or ()):
        arguments = arguments_of(call, f"{field}.tool_calls.{at}")
        made.append(calls.call(call.id, call.function.name, arguments))
    thinking = message.reasoning_content or message.reasoning or ""
    return assistant([*parts, message.refusal or ""], [thinking], made)


def _words(part: TextPart | RefusalPart) -> str:
    return part.text if isinstance(part, TextPart) else part.refusal


def _parts(content: str | Sequence[TextPart | ImagePart | FilePart], field: str) -> Iterator[Part]:
    if isinstance(content, str):
        yield content
        return
    for at, part in enumerate(content):
        if isinstance(part, TextPart):
            yield part.text
        elif isinstance(part, ImagePart):
            found = base64_of(part.image_url.url)
            if found is None:
                name = f"{field}.{at}.image_url.url"
                raise inexpressible(name, UPSTREAM, "it takes images as data URLs in base64 only")
            yield Picture(found[1])
        else:
            raise inexpressible(f"{field}.{at}.file", UPSTREAM, "it takes no documents")


def _options(request: ChatRequest) -> Options:
    return Options(
        num_predict=request.limit,
        temperature=request.temperature,
        top_p=request.top_p,
        stop=request.stops,
        seed=request.seed,
        frequency_penalty=request.frequency_penalty,
        presence_penalty=request.presence_penalty,
    )


def _tools(request: ChatRequest) -> Iterator[Tool]:
    if request.tool_choice == "none":
        return
    for index, one in enumerate(request.tools or ()):
        function = one.function
        if function.strict:
            raise inexpressible(f"tools.{index}.function.strict", UPSTREAM)
        parameters = given(function.parameters) or NO_PARAMETERS
        yield Tool(ToolFunction(function.name, parameters, function.description))


def _format(request: ChatRequest) -> msgspec.Raw | str | None:
    form = request.response_format
    if isinstance(form, SchemaForm):
        return form.json_schema.schema
    return "json" if isinstance(form, JsonForm) else None
