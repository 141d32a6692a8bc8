"""A client speaks Anthropic Messages, the upstream Ollama's own chat API. Pure.

What has another form there:
* A turn in which an image follows text becomes several messages, see `ollama_request.turn`.
* Tool results are messages of their own, with the tool's name; `is_error` is `Error:` in front.
* Tools that must not be called (`tool_choice` none) are left out; that one must be called cannot be
  said.
* Thinking crosses both ways: Ollama signs none, and wants it back during tool calls.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from gateway.translate import message_parts
from gateway.translate.answer import is_object
from gateway.translate.messages_request import (
    ERROR_PREFIX,
    AnyTool,
    AssistantMessage,
    Base64,
    Document,
    Image,
    MessagesRequest,
    Named,
    NoTool,
    PlainText,
    SystemMessage,
    Text,
    Thinking,
    ThinkingOn,
    ToolReference,
    ToolResult,
    ToolUse,
    UserMessage,
    check_document,
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
from gateway.translate.strict import inexpressible, invalid
from gateway.wire.form import OPENAI, Form

NOT_NEEDED: Mapping[str, str] = {
    "budget_tokens": "how long to think; Ollama lets a model think or not",
    "display": "whether thinking is shown shortened; Ollama shows it as it comes",
    "effort": "models that cannot think refuse it, and most others know no levels; those of which "
    "levels are known get it, see `Form.efforts`",
    "metadata": "who asks, for the provider's accounts; Ollama keeps none",
    "service_tier": "there is one class of service only",
}
"""Fields that are left out on the way there, beside those that every upstream goes without."""


def translate_request(body: bytes, model: str, form: Form = OPENAI) -> bytes:
    """Return the upstream's request; raises RequestError (400)."""
    request = read(body, UPSTREAM)
    translated = OllamaRequest(
        model=model,
        messages=tuple(_messages(request)),
        stream=bool(request.stream),
        options=_options(request),
        tools=tuple(_tools(request)),
        think=_think(request, form),
        format=request.schema,
    )
    return msgspec.json.encode(translated)


def _messages(request: MessagesRequest) -> Iterator[Message]:
    calls = Calls()
    if request.system_text:
        yield from turn("system", [request.system_text])
    for index, message in enumerate(request.messages):
        field = f"messages.{index}.content"
        if isinstance(message, AssistantMessage):
            yield _said(message, field, calls)
        elif isinstance(message, SystemMessage):
            yield from turn("system", [message_parts.plain(message.content)])
        else:
            yield from _asked(message, field, calls)


def _said(message: AssistantMessage, field: str, calls: Calls) -> Message:
    if isinstance(message.content, str):
        return assistant([message.content])
    texts = [block.text for block in message.content if isinstance(block, Text)]
    thinking = [block.thinking for block in message.content if isinstance(block, Thinking)]
    made: list[Call] = []
    for at, block in enumerate(message.content):
        if isinstance(block, ToolUse):
            if not is_object(block.input):
                raise invalid(f"{field}.{at}.input: must be a JSON object")
            made.append(calls.call(block.id, block.name, block.input))
    return assistant(texts, thinking, made)


def _asked(message: UserMessage, field: str, calls: Calls) -> Iterator[Message]:
    """Yield the results of tools first: they have to follow the call at once."""
    if isinstance(message.content, str):
        yield from turn("user", [message.content])
        return
    others: list[Part] = []
    results = 0
    for at, block in enumerate(message.content):
        if isinstance(block, ToolResult):
            results += 1
            parts = _result(block, f"{field}.{at}")
            yield calls.result(block.tool_use_id, parts, f"{field}.{at}.tool_use_id")
        else:
            others.append(_part(block, f"{field}.{at}"))
    if others or not results:
        yield from turn("user", others)


def _result(result: ToolResult, field: str) -> Iterator[Part]:
    blocks = result.content or ""
    prefix = ERROR_PREFIX if result.is_error else ""
    if isinstance(blocks, str):
        yield prefix + blocks
        return
    if prefix:
        yield prefix.rstrip()
    for at, block in enumerate(blocks):
        yield _part(block, f"{field}.content.{at}")


def _part(block: Text | Image | Document | ToolReference, field: str) -> Part:
    if isinstance(block, Text | ToolReference):
        return message_parts.text_of(block)
    if isinstance(block, Image):
        if isinstance(block.source, Base64):
            return Picture(block.source.data)
        raise inexpressible(f"{field}.source.url", UPSTREAM, "it takes images within requests only")
    check_document(block, field, UPSTREAM)
    if isinstance(block.source, PlainText):
        return message_parts.titled(block.title, block.source.data)
    raise inexpressible(f"{field}.source", UPSTREAM, "of documents it takes plain text only")


def _options(request: MessagesRequest) -> Options:
    return Options(
        num_predict=request.max_tokens,
        temperature=request.temperature,
        top_p=request.top_p,
        top_k=request.top_k,
        stop=request.stop_sequences or None,
    )


def _tools(request: MessagesRequest) -> Iterator[Tool]:
    choice = request.tool_choice
    if isinstance(choice, NoTool) or not request.tools:
        return
    if isinstance(choice, AnyTool | Named):
        raise inexpressible("tool_choice", UPSTREAM, "that a tool must be called")
    if choice is not None and choice.disable_parallel_tool_use:
        raise inexpressible("tool_choice.disable_parallel_tool_use", UPSTREAM)
    for index, one in enumerate(request.tools):
        if one.strict:
            raise inexpressible(f"tools.{index}.strict", UPSTREAM)
        yield Tool(ToolFunction(one.name, one.input_schema, one.full_description()))


def _think(request: MessagesRequest, form: Form) -> bool | str | None:
    """Return whether to think, or the level of an effort; None leaves it to the model."""
    if request.thinks_not or request.effort == "none":
        return False
    found = level(request.effort, form)
    return True if found is None and isinstance(request.thinking, ThinkingOn) else found
