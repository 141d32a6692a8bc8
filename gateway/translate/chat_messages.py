"""A client speaks OpenAI chat completions, the upstream Anthropic Messages. Pure.

What has another form there:
* System and developer messages in front become `system`; later ones keep their place, as a part of
  the user's turn, in a tag of their own.
* Tool messages become the beginning of the next user message. Messages without an answer between
  them are one turn, and answers without words or calls are left out: Anthropic refuses them.
* The schema of a tool says that its input is an object, also where the client's does not.
* A text file becomes text: Anthropic takes base64 of PDF files alone.
* An output limit is required: without one `DEFAULT_MAX_TOKENS` is sent.
* Thinking is shown as `reasoning_content`; a refusal has the finish reason `content_filter`.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gateway.translate.chat_content import UPSTREAM, conversation
from gateway.translate.chat_request import (
    NO_PARAMETERS,
    NO_PENALTIES,
    ONE_TIER,
    ONE_VERBOSITY,
    ChatRequest,
    Checks,
    JsonForm,
    NamedChoice,
    SchemaForm,
    Tool,
    read,
)
from gateway.translate.fields import present
from gateway.wire.decoding import given, members

NOT_NEEDED: Mapping[str, str] = {
    "detail": "a hint on an image's resolution; Anthropic chooses by its size",
    "json_schema.description": "words on the form of the answer; Anthropic reads the schema's own",
    "json_schema.name": "OpenAI wants a name for every form; Anthropic none",
    "json_schema.strict": "Anthropic's answers follow a schema in any case",
    "prompt_cache_key": "routes to OpenAI's cache; Anthropic's is steered by `cache_control`",
    "prompt_cache_retention": "keeps OpenAI's cache; Anthropic's is steered by `cache_control`",
    "reasoning": "thinking of earlier turns, without the signature Anthropic wants for it",
    "reasoning_content": "thinking of earlier turns, without the signature Anthropic wants for it",
    "seed": "best effort by its own documentation; Anthropic has no such effort",
}
"""Fields that are left out on the way there, beside those that every upstream goes without."""

EFFORTS: Mapping[str, str] = {
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "xhigh",
    "max": "max",
}
"""Anthropic's `output_config.effort` for `reasoning_effort`; `none` turns thinking off instead."""

CHOICES = {"auto": "auto", "required": "any", "none": "none"}
TIERS = {"auto": "auto", "default": "standard_only"}
DEFAULT_MAX_TOKENS = 8192
"""The largest limit that every Claude model since 3.5 takes."""

MAX_TEMPERATURE = 1
"""Anthropic's scale ends here, OpenAI's at 2."""

_CHECKS: Checks = {
    **NO_PENALTIES,
    **ONE_TIER,
    **ONE_VERBOSITY,
    "temperature": (
        lambda request: request.temperature is None or request.temperature <= MAX_TEMPERATURE,
        f"its scale ends at {MAX_TEMPERATURE}",
    ),
    "response_format.type": (
        lambda request: not isinstance(request.response_format, JsonForm),
        "JSON needs a schema",
    ),
}


def translate_request(body: bytes, model: str) -> bytes:
    """Return the upstream's request; raises RequestError (400)."""
    request = read(body, UPSTREAM, _CHECKS)
    system, messages = conversation(request.messages)
    limit = request.limit or DEFAULT_MAX_TOKENS
    document: dict[str, object] = {"model": model, "max_tokens": limit}
    if system:
        document["system"] = system
    document["messages"] = messages
    document |= _sampling(request) | _tools(request) | _work(request)
    if request.stream:
        document["stream"] = True
    return msgspec.json.encode(document)


def _sampling(request: ChatRequest) -> dict[str, object]:
    user = request.user or request.safety_identifier
    tier = request.service_tier
    return present(
        temperature=request.temperature,
        top_p=request.top_p,
        stop_sequences=request.stops,
        metadata={"user_id": user} if user else None,
        service_tier=None if tier is None else TIERS[tier],
    )


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
    return present(
        name=function.name,
        description=function.description,
        input_schema=_schema(given(function.parameters)),
        strict=function.strict,
        cache_control=given(tool.cache_control),
    )


def _schema(parameters: msgspec.Raw | None) -> object:
    """Return the schema of a tool's input; `{}` takes anything, and a tool's input is an object."""
    if parameters is None:
        return NO_PARAMETERS
    try:
        said = members(parameters)
    except msgspec.ValidationError:
        return parameters  # no schema at all: left to the provider
    return parameters if "type" in said else {"type": "object", **said}


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
