"""A client speaks OpenAI chat completions, the upstream the OpenAI Responses API. Pure.

What has another form there:
* Every message is an item; what the model said and each of its calls are items of their own.
* `store` is always false: the conversation belongs to the client.
* An output limit below `MIN_OUTPUT_TOKENS` is raised to it: the API takes none below.
* A tool that does not ask for `strict` says so: the API's own default is strict.
* Thinking is shown as `reasoning_content`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from gateway.translate import chat_completion, error_bodies, response_answer
from gateway.translate.chat_chunks import ChatChunks
from gateway.translate.chat_request import (
    NO_PARAMETERS,
    NO_PENALTIES,
    NO_STOPS,
    AssistantMessage,
    ChatRequest,
    Checks,
    DeveloperMessage,
    FilePart,
    ImagePart,
    JsonForm,
    NamedChoice,
    RefusalPart,
    SchemaForm,
    SystemMessage,
    TextPart,
    Tool,
    ToolMessage,
    UserMessage,
    read,
)
from gateway.translate.messages_responses import MIN_OUTPUT_TOKENS, UPSTREAM
from gateway.translate.mint import Mint
from gateway.translate.response_stream import ResponseStream
from gateway.translate.sse import EventReader
from gateway.translate.stream import Stream
from gateway.translate.strict import given
from gateway.wire.formats import StreamTranslator
from gateway.wire.usage import Reading

NOT_NEEDED: Mapping[str, str] = {
    "cache_control": "steers Anthropic's cache; OpenAI caches prompts by itself",
    "reasoning": "thinking of earlier turns; OpenAI takes none back in clear text",
    "reasoning_content": "thinking of earlier turns; OpenAI takes none back in clear text",
    "seed": "best effort by its own documentation; the Responses API has no such effort",
}
"""Fields that are left out on the way there, beside those that every upstream goes without."""

Item: TypeAlias = Mapping[str, object]

_CHECKS: Checks = {**NO_STOPS, **NO_PENALTIES}
_ROLES = {SystemMessage: "system", DeveloperMessage: "developer", UserMessage: "user"}


@dataclass(frozen=True, slots=True)
class ChatResponses:
    """Translator of (CHAT, RESPONSES).

    Attributes:
        mint: Source of ids of answers.
    """

    mint: Mint
    path: bytes = b"/v1/responses"

    def request(self, body: bytes, model: str) -> bytes:
        """Return the upstream's request; raises RequestError (400)."""
        request = read(body, UPSTREAM, _CHECKS)
        document: dict[str, object] = {"model": model, "input": list(_items(request))}
        document |= _sampling(request) | _tools(request) | _work(request)
        document["store"] = False
        if request.stream:
            document["stream"] = True
        return msgspec.json.encode(document)

    def answer(self, body: bytes) -> bytes:
        """Return the client's form of an answer; raises UpstreamError."""
        return chat_completion.encode(response_answer.answer(body), self.mint)

    def error(self, status: int, body: bytes) -> bytes:
        """Return the client's form of an error."""
        return error_bodies.to_chat(error_bodies.read(status, body))

    def reading(self, body: bytes) -> Reading:
        """Return tokens and model of an upstream's answer."""
        return response_answer.reading(body)

    def stream(self, *, trailing_usage: bool = True) -> StreamTranslator:
        """Return a translator of one streamed answer."""
        chunks = ChatChunks(self.mint, trailing_usage=trailing_usage)
        return Stream(EventReader(), ResponseStream(chunks), chunks)


def _items(request: ChatRequest) -> Iterator[Item]:
    for message in request.messages:
        if isinstance(message, ToolMessage):
            output = _content(message.content)
            yield {
                "type": "function_call_output",
                "call_id": message.tool_call_id,
                "output": output,
            }
        elif isinstance(message, AssistantMessage):
            yield from _said(message)
        else:
            content = _content(message.content)
            yield {"type": "message", "role": _ROLES[type(message)], "content": content}


def _said(message: AssistantMessage) -> Iterator[Item]:
    content = message.content or ()
    parts = [_output(TextPart(content))] if isinstance(content, str) else [*map(_output, content)]
    if message.refusal:
        parts.append(_output(RefusalPart(message.refusal)))
    if parts:
        yield {"type": "message", "role": "assistant", "content": parts}
    for call in message.tool_calls or ():
        yield {
            "type": "function_call",
            "call_id": call.id,
            "name": call.function.name,
            "arguments": call.function.arguments or "{}",
        }


def _output(part: TextPart | RefusalPart) -> Item:
    if isinstance(part, TextPart):
        return {"type": "output_text", "text": part.text}
    return {"type": "refusal", "refusal": part.refusal}


def _content(content: str | Sequence[TextPart | ImagePart | FilePart]) -> str | list[Item]:
    return content if isinstance(content, str) else [_part(part) for part in content]


def _part(part: TextPart | ImagePart | FilePart) -> Item:
    if isinstance(part, TextPart):
        return {"type": "input_text", "text": part.text}
    if isinstance(part, ImagePart):
        image = part.image_url
        return _told(type="input_image", image_url=image.url, detail=image.detail)
    file = part.file
    return _told(
        type="input_file", file_id=file.file_id, filename=file.filename, file_data=file.file_data
    )


def _sampling(request: ChatRequest) -> dict[str, object]:
    limit = request.limit
    return _told(
        max_output_tokens=None if limit is None else max(limit, MIN_OUTPUT_TOKENS),
        temperature=request.temperature,
        top_p=request.top_p,
        user=request.user,
        safety_identifier=request.safety_identifier,
        service_tier=request.service_tier,
        prompt_cache_key=request.prompt_cache_key,
        prompt_cache_retention=request.prompt_cache_retention,
    )


def _tools(request: ChatRequest) -> dict[str, object]:
    if not request.tools:
        return {}
    choice: object = request.tool_choice
    if isinstance(request.tool_choice, NamedChoice):
        choice = {"type": "function", "name": request.tool_choice.function.name}
    return _told(
        tools=[_tool(tool) for tool in request.tools],
        tool_choice=choice,
        parallel_tool_calls=request.parallel_tool_calls,
    )


def _tool(tool: Tool) -> Item:
    function = tool.function
    return _told(
        type="function",
        name=function.name,
        description=function.description,
        parameters=given(function.parameters) or NO_PARAMETERS,
        strict=bool(function.strict),
    )


def _work(request: ChatRequest) -> dict[str, object]:
    """Return how hard to think and in which form to answer."""
    effort = request.reasoning_effort
    text = _told(format=_form(request), verbosity=request.verbosity)
    return _told(reasoning=None if effort is None else {"effort": effort}, text=text or None)


def _form(request: ChatRequest) -> Item | None:
    form = request.response_format
    if isinstance(form, JsonForm):
        return {"type": "json_object"}
    if not isinstance(form, SchemaForm):
        return None
    schema = form.json_schema
    return _told(
        type="json_schema",
        name=schema.name,
        description=schema.description,
        schema=schema.schema,
        strict=schema.strict,
    )


def _told(**fields: object) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}
