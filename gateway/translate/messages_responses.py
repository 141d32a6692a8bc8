"""A client speaks Anthropic Messages, the upstream the OpenAI Responses API. Pure.

What has another form there:
* Instructions in front become `instructions`; those between turns are `developer` messages.
* Tool results carry text, images and documents alike; `is_error` becomes `Error:` in front.
* `store` is always false: the conversation belongs to the client.
* An output limit below `MIN_OUTPUT_TOKENS` is raised to it: the API takes none below.
* A tool that does not ask for `strict` says so: the API's own default is strict.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec

from gateway.translate import error_bodies, message_answer, message_parts, response_answer
from gateway.translate.message_events import MessageEvents
from gateway.translate.message_parts import Part, PartForms
from gateway.translate.messages_request import (
    CHOICES,
    ERROR_PREFIX,
    TIERS,
    AssistantMessage,
    MessagesRequest,
    Named,
    SystemMessage,
    Text,
    ThinkingAdaptive,
    ThinkingOn,
    Tool,
    ToolResult,
    ToolUse,
    UserMessage,
    read,
)
from gateway.translate.mint import Mint
from gateway.translate.response_stream import ResponseStream
from gateway.translate.sse import EventReader
from gateway.translate.stream import Stream
from gateway.translate.strict import inexpressible
from gateway.wire.formats import StreamTranslator
from gateway.wire.usage import Reading

NOT_NEEDED: Mapping[str, str] = {
    "content.thinking": "thinking of earlier turns; OpenAI takes none back in clear text",
}
"""Fields that are left out on the way there, beside those that every upstream goes without."""

UPSTREAM = "the OpenAI Responses API"
MIN_OUTPUT_TOKENS = 16

_FORMS = PartForms(
    UPSTREAM,
    text=lambda text: {"type": "input_text", "text": text},
    image=lambda url: {"type": "input_image", "image_url": url},
    file=lambda name, data: {"type": "input_file", "filename": name, "file_data": data},
    file_url=lambda url: {"type": "input_file", "file_url": url},
)


@dataclass(frozen=True, slots=True)
class MessagesResponses:
    """Translator of (MESSAGES, RESPONSES).

    Attributes:
        mint: Source of message ids.
    """

    mint: Mint
    path: bytes = b"/v1/responses"

    def request(self, body: bytes, model: str) -> bytes:
        """Return the upstream's request; raises RequestError (400)."""
        request = read(body, UPSTREAM)
        if request.stop_sequences:
            raise inexpressible("stop_sequences", UPSTREAM)
        if request.top_k is not None:
            raise inexpressible("top_k", UPSTREAM)
        document: dict[str, object] = {"model": model, "input": list(_items(request))}
        if request.system_text:
            document["instructions"] = request.system_text
        document |= _sampling(request) | _tools(request) | _work(request)
        document["store"] = False
        if request.stream:
            document["stream"] = True
        return msgspec.json.encode(document)

    def answer(self, body: bytes) -> bytes:
        """Return the client's form of an answer; raises UpstreamError."""
        return message_answer.encode(response_answer.answer(body), self.mint)

    def error(self, status: int, body: bytes) -> bytes:
        """Return the client's form of an error."""
        return error_bodies.to_messages(error_bodies.read(status, body))

    def reading(self, body: bytes) -> Reading:
        """Return tokens and model of an upstream's answer."""
        return response_answer.reading(body)

    def stream(self, *, trailing_usage: bool = True) -> StreamTranslator:
        """Return a translator of one streamed answer; its usage stands in the closing events."""
        del trailing_usage
        events = MessageEvents(self.mint)
        return Stream(EventReader(), ResponseStream(events), events)


def _items(request: MessagesRequest) -> Iterator[Part]:
    for index, message in enumerate(request.messages):
        field = f"messages.{index}.content"
        if isinstance(message, AssistantMessage):
            yield from _said(message)
        elif isinstance(message, SystemMessage):
            content = message_parts.content(message.content, field, _FORMS)
            yield {"type": "message", "role": "developer", "content": content}
        else:
            yield from _asked(message, field)


def _said(message: AssistantMessage) -> Iterator[Part]:
    """Yield texts and calls in their order."""
    if isinstance(message.content, str):
        yield _output(message.content)
        return
    for block in message.content:
        if isinstance(block, Text):
            yield _output(block.text)
        elif isinstance(block, ToolUse):
            yield {
                "type": "function_call",
                "call_id": block.id,
                "name": block.name,
                "arguments": bytes(block.input).decode(),
            }


def _output(text: str) -> Part:
    part = {"type": "output_text", "text": text}
    return {"type": "message", "role": "assistant", "content": [part]}


def _asked(message: UserMessage, field: str) -> Iterator[Part]:
    if isinstance(message.content, str):
        yield {"type": "message", "role": "user", "content": message.content}
        return
    results = [block for block in message.content if isinstance(block, ToolResult)]
    for result in results:
        output = _result(result, field)
        yield {"type": "function_call_output", "call_id": result.tool_use_id, "output": output}
    others = [block for block in message.content if not isinstance(block, ToolResult)]
    if others or not results:
        content = message_parts.content(others, field, _FORMS)
        yield {"type": "message", "role": "user", "content": content}


def _result(result: ToolResult, field: str) -> str | list[Part]:
    output = message_parts.content(result.content or "", field, _FORMS)
    if not result.is_error:
        return output
    if isinstance(output, str):
        return ERROR_PREFIX + output
    return [_FORMS.text(ERROR_PREFIX.rstrip()), *output]


def _sampling(request: MessagesRequest) -> dict[str, object]:
    tier = request.service_tier
    fields = {
        "max_output_tokens": max(request.max_tokens, MIN_OUTPUT_TOKENS),
        "temperature": request.temperature,
        "top_p": request.top_p,
        "user": request.user,
        "service_tier": None if tier is None else TIERS[tier],
    }
    return {name: value for name, value in fields.items() if value is not None}


def _tools(request: MessagesRequest) -> dict[str, object]:
    if not request.tools:
        return {}
    fields: dict[str, object] = {"tools": [_tool(tool) for tool in request.tools]}
    choice = request.tool_choice
    if choice is None:
        return fields
    if isinstance(choice, Named):
        fields["tool_choice"] = {"type": "function", "name": choice.name}
    else:
        fields["tool_choice"] = CHOICES[choice.kind]
    if choice.disable_parallel_tool_use:
        fields["parallel_tool_calls"] = False
    return fields


def _tool(tool: Tool) -> Part:
    fields = {
        "type": "function",
        "name": tool.name,
        "description": tool.full_description(),
        "parameters": tool.input_schema,
        "strict": bool(tool.strict),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _work(request: MessagesRequest) -> dict[str, object]:
    """Return how hard to think and in which form to answer."""
    fields: dict[str, object] = {}
    reasoning: dict[str, str] = {}
    if request.effort is not None:
        reasoning["effort"] = request.effort
    thinking = request.thinking
    if isinstance(thinking, ThinkingOn | ThinkingAdaptive) and thinking.display == "summarized":
        # Only when asked for: organisations that are not verified get an error for it.
        reasoning["summary"] = "auto"
    if reasoning:
        fields["reasoning"] = reasoning
    if request.schema is not None:
        form = {
            "type": "json_schema",
            "name": message_parts.SCHEMA_NAME,
            "schema": request.schema,
            "strict": True,
        }
        fields["text"] = {"format": form}
    return fields
