"""A client speaks Anthropic Messages, the upstream OpenAI chat completions. Pure.

What has another form there:
* A tool result is text only. Its images and documents follow in a user message behind the tool
  messages, under a line that names the result; `is_error` becomes the word `Error:` in front.
* System instructions keep their place; those in front of the conversation become one message.
* Thinking arrives as `reasoning_content` and is shown as a thinking block with an empty signature.
* `content_filter` and a refusal are the stop reason `refusal`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec

from gateway.translate import chat_answer, error_bodies, message_answer, message_parts
from gateway.translate.chat_stream import ChatStream
from gateway.translate.message_events import MessageEvents
from gateway.translate.message_parts import Part, PartForms
from gateway.translate.messages_request import (
    CHOICES,
    ERROR_PREFIX,
    TIERS,
    AssistantMessage,
    Document,
    Image,
    MessagesRequest,
    Named,
    SystemMessage,
    Text,
    Tool,
    ToolReference,
    ToolResult,
    ToolUse,
    UserMessage,
    read,
)
from gateway.translate.mint import Mint
from gateway.translate.sse import EventReader
from gateway.translate.stream import Stream
from gateway.translate.strict import inexpressible
from gateway.wire.formats import StreamTranslator
from gateway.wire.usage import Reading

NOT_NEEDED: Mapping[str, str] = {
    "content.thinking": "thinking of earlier turns; OpenAI takes none back in clear text",
    "display": "whether thinking is shown shortened; chat completions show what there is",
}
"""Fields that are left out on the way there, beside those that every upstream goes without."""

UPSTREAM = "OpenAI chat completions"
MAX_STOPS = 4
"""OpenAI takes so many stop sequences."""


_FORMS = PartForms(
    UPSTREAM,
    text=lambda text: {"type": "text", "text": text},
    image=lambda url: {"type": "image_url", "image_url": {"url": url}},
    file=lambda name, data: {"type": "file", "file": {"filename": name, "file_data": data}},
)


@dataclass(frozen=True, slots=True)
class MessagesChat:
    """Translator of (MESSAGES, CHAT).

    Attributes:
        mint: Source of message ids.
        limit_field: The upstream's name for the output limit; older servers know only `max_tokens`.
    """

    mint: Mint
    limit_field: str = "max_completion_tokens"
    path: bytes = b"/v1/chat/completions"

    def request(self, body: bytes, model: str) -> bytes:
        """Return the upstream's request; raises RequestError (400)."""
        request = read(body, UPSTREAM)
        document: dict[str, object] = {"model": model, "messages": list(_messages(request))}
        document[self.limit_field] = request.max_tokens
        document |= _sampling(request) | _tools(request) | _form(request)
        if request.stream:
            document |= {"stream": True, "stream_options": {"include_usage": True}}
        return msgspec.json.encode(document)

    def answer(self, body: bytes) -> bytes:
        """Return the client's form of an answer; raises UpstreamError."""
        return message_answer.encode(chat_answer.answer(body), self.mint)

    def error(self, status: int, body: bytes) -> bytes:
        """Return the client's form of an error."""
        return error_bodies.to_messages(error_bodies.read(status, body))

    def reading(self, body: bytes) -> Reading:
        """Return tokens and model of an upstream's answer."""
        return chat_answer.reading(body)

    def stream(self, *, trailing_usage: bool = True) -> StreamTranslator:
        """Return a translator of one streamed answer; its usage stands in the closing events."""
        del trailing_usage
        events = MessageEvents(self.mint)
        return Stream(EventReader(), ChatStream(events), events)


def _messages(request: MessagesRequest) -> Iterator[Part]:
    if request.system_text:
        yield {"role": "system", "content": request.system_text}
    for index, message in enumerate(request.messages):
        field = f"messages.{index}.content"
        if isinstance(message, AssistantMessage):
            yield _assistant(message)
        elif isinstance(message, SystemMessage):
            yield {
                "role": "system",
                "content": message_parts.content(message.content, field, _FORMS),
            }
        else:
            yield from _user(message, field)


def _assistant(message: AssistantMessage) -> Part:
    if isinstance(message.content, str):
        return {"role": "assistant", "content": message.content}
    text = message_parts.joined(block for block in message.content if isinstance(block, Text))
    calls = [_call(block) for block in message.content if isinstance(block, ToolUse)]
    if not calls:
        return {"role": "assistant", "content": text}
    return {"role": "assistant", "content": text or None, "tool_calls": calls}


def _call(call: ToolUse) -> Part:
    function = {"name": call.name, "arguments": bytes(call.input).decode()}
    return {"id": call.id, "type": "function", "function": function}


def _user(message: UserMessage, field: str) -> Iterator[Part]:
    """Yield the results of tools first: they have to follow the call at once."""
    if isinstance(message.content, str):
        yield {"role": "user", "content": message.content}
        return
    results = [block for block in message.content if isinstance(block, ToolResult)]
    attached: list[Part] = []
    for result in results:
        text, more = _result(result, field)
        attached += more
        yield {"role": "tool", "tool_call_id": result.tool_use_id, "content": text}
    others = [block for block in message.content if not isinstance(block, ToolResult)]
    if attached:
        yield {"role": "user", "content": attached + message_parts.parts(others, field, _FORMS)}
    elif others or not results:
        yield {"role": "user", "content": message_parts.content(others, field, _FORMS)}


def _result(result: ToolResult, field: str) -> tuple[str, list[Part]]:
    """Return the text of a tool message, and the parts that have to follow it elsewhere."""
    blocks = result.content or []
    prefix = ERROR_PREFIX if result.is_error else ""
    if isinstance(blocks, str):
        return prefix + blocks, []
    text = message_parts.joined(one for one in blocks if isinstance(one, Text | ToolReference))
    media = [block for block in blocks if isinstance(block, Image | Document)]
    if not media:
        return prefix + text, []
    note = f"[attachments of this result follow: {len(media)}]"
    text = f"{text}{message_parts.SEPARATOR}{note}" if text else note
    label = _FORMS.text(f"Attachments of tool result {result.tool_use_id}:")
    return prefix + text, [label, *message_parts.parts(media, field, _FORMS)]


def _sampling(request: MessagesRequest) -> dict[str, object]:
    if request.top_k is not None:
        raise inexpressible("top_k", UPSTREAM)
    if len(request.stop_sequences or ()) > MAX_STOPS:
        raise inexpressible("stop_sequences", UPSTREAM, f"more than {MAX_STOPS}")
    tier = request.service_tier
    fields = {
        "temperature": request.temperature,
        "top_p": request.top_p,
        "stop": request.stop_sequences or None,
        "reasoning_effort": request.effort,
        "user": request.user,
        "service_tier": None if tier is None else TIERS[tier],
    }
    return {name: value for name, value in fields.items() if value is not None}


def _tools(request: MessagesRequest) -> dict[str, object]:
    if not request.tools:
        return {}
    tools = [{"type": "function", "function": _function(tool)} for tool in request.tools]
    fields: dict[str, object] = {"tools": tools}
    choice = request.tool_choice
    if choice is None:
        return fields
    if isinstance(choice, Named):
        fields["tool_choice"] = {"type": "function", "function": {"name": choice.name}}
    else:
        fields["tool_choice"] = CHOICES[choice.kind]
    if choice.disable_parallel_tool_use:
        fields["parallel_tool_calls"] = False
    return fields


def _function(tool: Tool) -> Part:
    fields = {
        "name": tool.name,
        "description": tool.full_description(),
        "parameters": tool.input_schema,
        "strict": tool.strict,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _form(request: MessagesRequest) -> dict[str, object]:
    if request.schema is None:
        return {}
    schema = {"name": message_parts.SCHEMA_NAME, "schema": request.schema, "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": schema}}
