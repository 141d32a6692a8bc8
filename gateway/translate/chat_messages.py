"""A client speaks OpenAI chat completions, the upstream Anthropic Messages. Pure.

What has another form there:
* System and developer messages in front become `system`; later ones keep their place.
* Tool messages become the beginning of the next user message.
* An output limit is required: without one `default_max_tokens` is sent.
* Thinking is shown as `reasoning_content`; a refusal has the finish reason `content_filter`.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from gateway.translate import error_bodies, message_reading
from gateway.translate.chat_content import conversation
from gateway.translate.chat_messages_stream import MessagesToChat
from gateway.translate.chat_request import EFFORTS, ChatRequest, NamedChoice, SchemaForm, Tool, read
from gateway.translate.mint import Mint
from gateway.translate.stream import Stream
from gateway.translate.strict import given
from gateway.wire.formats import StreamTranslator
from gateway.wire.usage import Reading, read_message

CHOICES = {"auto": "auto", "required": "any", "none": "none"}
TIERS = {"auto": "auto", "default": "standard_only"}
DEFAULT_MAX_TOKENS = 8192
"""The largest limit that every Claude model since 3.5 takes."""

_NO_PARAMETERS = {"type": "object", "properties": {}}


@dataclass(frozen=True, slots=True)
class ChatMessages:
    """Translator of (CHAT, MESSAGES).

    Attributes:
        mint: Source of answer ids and of the time.
        default_max_tokens: Sent when the client sets no limit.
    """

    mint: Mint
    default_max_tokens: int = DEFAULT_MAX_TOKENS
    path: bytes = b"/v1/messages"

    def request(self, body: bytes, model: str) -> bytes:
        """Return the upstream's request; raises RequestError (400)."""
        request = read(body)
        system, messages = conversation(request.messages)
        limit = request.max_completion_tokens or request.max_tokens or self.default_max_tokens
        document: dict[str, object] = {"model": model, "max_tokens": limit}
        if system:
            document["system"] = system
        document["messages"] = messages
        document |= _sampling(request) | _tools(request) | _work(request)
        if request.stream:
            document["stream"] = True
        return msgspec.json.encode(document)

    def answer(self, body: bytes) -> bytes:
        """Return the client's form of an answer; raises UpstreamError."""
        return message_reading.as_chat(body, f"chatcmpl-{self.mint.token()}", int(self.mint.now()))

    def error(self, status: int, body: bytes) -> bytes:
        """Return the client's form of an error."""
        return error_bodies.to_chat(error_bodies.read(status, body))

    def reading(self, body: bytes) -> Reading:
        """Return tokens and model of an upstream's answer."""
        return read_message(body)

    def stream(self, *, trailing_usage: bool = True) -> StreamTranslator:
        """Return a translator of one streamed answer."""
        return Stream(MessagesToChat(self.mint, trailing_usage=trailing_usage))


def _sampling(request: ChatRequest) -> dict[str, object]:
    stop = [request.stop] if isinstance(request.stop, str) else request.stop
    user = request.user or request.safety_identifier
    tier = request.service_tier
    fields = {
        "temperature": request.temperature,
        "top_p": request.top_p,
        "stop_sequences": stop or None,
        "metadata": {"user_id": user} if user else None,
        "service_tier": None if tier is None else TIERS[tier],
    }
    return {name: value for name, value in fields.items() if value is not None}


def _tools(request: ChatRequest) -> dict[str, object]:
    if not request.tools:
        return {}
    fields: dict[str, object] = {"tools": [_tool(tool) for tool in request.tools]}
    choice: dict[str, object] = {}
    if isinstance(request.tool_choice, NamedChoice):
        choice = {"type": "tool", "name": request.tool_choice.function.name}
    elif request.tool_choice is not None:
        choice = {"type": CHOICES[request.tool_choice]}
    if request.parallel_tool_calls is False and choice.get("type") != "none":
        # Anthropic says it within the choice, so there has to be one.
        choice = (choice or {"type": "auto"}) | {"disable_parallel_tool_use": True}
    return fields | ({"tool_choice": choice} if choice else {})


def _tool(tool: Tool) -> dict[str, object]:
    function = tool.function
    fields = {
        "name": function.name,
        "description": function.description,
        "input_schema": given(function.parameters) or _NO_PARAMETERS,
        "strict": function.strict,
        "cache_control": given(tool.cache_control),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _work(request: ChatRequest) -> dict[str, object]:
    """Return how hard to think and in which form to answer."""
    fields: dict[str, object] = {}
    config: dict[str, object] = {}
    if request.reasoning_effort == "none":
        fields["thinking"] = {"type": "disabled"}
    elif request.reasoning_effort is not None:
        config["effort"] = EFFORTS[request.reasoning_effort]
    if isinstance(request.response_format, SchemaForm):
        schema = request.response_format.json_schema.schema
        config["format"] = {"type": "json_schema", "schema": schema}
    return fields | ({"output_config": config} if config else {})
