"""A request in the OpenAI chat completions format, as clients send it to Anthropic. Pure.

The structs say what can be expressed there; what they do not declare is refused. What is known and
left out has the type `Unused` and a reason in `NOT_NEEDED`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import msgspec
from msgspec import UNSET

from gateway.translate.strict import NULL, Strict, Unused, decode, inexpressible

NOT_NEEDED: Mapping[str, str] = {
    "annotations": "where words of an earlier answer came from; the words themselves are sent",
    "detail": "a hint on an image's resolution; Anthropic chooses by its size",
    "include_obfuscation": "padding against traffic analysis, made by the server that streams",
    "metadata": "labels of stored answers; none is stored",
    "name": "on a tool message: the function, which the call's id says already",
    "prediction": "speeds an answer up; it does not change it",
    "prompt_cache_key": "routes to OpenAI's cache; Anthropic's is steered by `cache_control`",
    "prompt_cache_retention": "keeps OpenAI's cache; Anthropic's is steered by `cache_control`",
    "reasoning": "thinking of earlier turns, without the signature Anthropic wants for it",
    "reasoning_content": "thinking of earlier turns, without the signature Anthropic wants for it",
    "reasoning_details": "thinking of earlier turns, without the signature Anthropic wants for it",
    "seed": "best effort by its own documentation; Anthropic has no such effort",
}
"""Fields that are left out on the way to Anthropic, by name, each with the reason."""

UPSTREAM = "the Anthropic Messages API"

EFFORTS: Mapping[str, str] = {
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "xhigh",
    "max": "max",
}
"""Anthropic's `output_config.effort` for `reasoning_effort`; `none` turns thinking off instead."""

MAX_TEMPERATURE = 1
"""Anthropic's scale ends here, OpenAI's at 2."""


class TextPart(Strict, tag="text", tag_field="type"):
    """A piece of text; `cache_control` is Anthropic's own, as gateways let OpenAI clients send."""

    text: str
    cache_control: msgspec.Raw = NULL


class ImageUrl(Strict):
    """Where an image is, or the image itself as a data URL."""

    url: str
    detail: Unused = UNSET


class ImagePart(Strict, tag="image_url", tag_field="type"):
    """A picture."""

    image_url: ImageUrl
    cache_control: msgspec.Raw = NULL


class File(Strict):
    """A file within the request."""

    file_data: str
    filename: str | None = None


class FilePart(Strict, tag="file", tag_field="type"):
    """A PDF."""

    file: File
    cache_control: msgspec.Raw = NULL


class RefusalPart(Strict, tag="refusal", tag_field="type"):
    """What the model said when it refused."""

    refusal: str


class Function(Strict):
    """What the model called."""

    name: str
    arguments: str


class Call(Strict):
    """A tool call of an earlier turn."""

    id: str
    function: Function
    type: Literal["function"] = "function"
    index: int | None = None  # some clients keep it from the stream


class SystemMessage(Strict, tag="system", tag_field="role"):
    """An instruction."""

    content: str | list[TextPart]
    name: None = None


class DeveloperMessage(Strict, tag="developer", tag_field="role"):
    """An instruction, by its newer name."""

    content: str | list[TextPart]
    name: None = None


class UserMessage(Strict, tag="user", tag_field="role"):
    """A turn of the user."""

    content: str | list[TextPart | ImagePart | FilePart]
    name: None = None


class AssistantMessage(Strict, tag="assistant", tag_field="role"):
    """A turn of the model; what is only ever null here comes from SDKs that send all fields."""

    content: str | list[TextPart | RefusalPart] | None = None
    refusal: str | None = None
    tool_calls: list[Call] | None = None
    name: None = None
    audio: None = None
    function_call: None = None
    annotations: Unused = UNSET
    reasoning: Unused = UNSET
    reasoning_content: Unused = UNSET
    reasoning_details: Unused = UNSET


class ToolMessage(Strict, tag="tool", tag_field="role"):
    """What a tool answered."""

    tool_call_id: str
    content: str | list[TextPart | ImagePart]
    name: Unused = UNSET


class FunctionTool(Strict):
    """A tool's definition."""

    name: str
    description: str | None = None
    parameters: msgspec.Raw = NULL
    strict: bool | None = None


class Tool(Strict, tag="function", tag_field="type"):
    """A tool of the client."""

    function: FunctionTool
    cache_control: msgspec.Raw = NULL


class Name(Strict):
    """The tool that must be called."""

    name: str


class NamedChoice(Strict, tag="function", tag_field="type"):
    """The model must call this tool."""

    function: Name


class TextForm(Strict, tag="text", tag_field="type"):
    """Free text."""


class Schema(Strict):
    """A JSON schema; its name and strictness are no choice at Anthropic."""

    name: str
    schema: msgspec.Raw
    description: str | None = None
    strict: bool | None = None


class SchemaForm(Strict, tag="json_schema", tag_field="type"):
    """The form an answer must have."""

    json_schema: Schema


class StreamOptions(Strict):
    """What a stream carries."""

    include_usage: bool | None = None
    include_obfuscation: Unused = UNSET


class ChatRequest(Strict):
    """A whole request."""

    model: str
    messages: list[SystemMessage | DeveloperMessage | UserMessage | AssistantMessage | ToolMessage]
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: str | list[str] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: list[Tool] | None = None
    tool_choice: Literal["auto", "none", "required"] | NamedChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: TextForm | SchemaForm | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = (
        None
    )
    user: str | None = None
    safety_identifier: str | None = None
    service_tier: Literal["auto", "default"] | None = None
    n: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    logit_bias: dict[str, float] | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    store: bool | None = None
    modalities: list[Literal["text"]] | None = None
    verbosity: Literal["medium"] | None = None
    metadata: Unused = UNSET
    prediction: Unused = UNSET
    prompt_cache_key: Unused = UNSET
    prompt_cache_retention: Unused = UNSET
    seed: Unused = UNSET


_CHECKS: Mapping[str, tuple[Callable[[ChatRequest], bool], str]] = {
    "n": (lambda request: request.n in {None, 1}, "it gives one answer"),
    "logprobs": (lambda request: not request.logprobs, ""),
    "top_logprobs": (lambda request: not request.top_logprobs, ""),
    "logit_bias": (lambda request: not request.logit_bias, ""),
    "frequency_penalty": (lambda request: not request.frequency_penalty, ""),
    "presence_penalty": (lambda request: not request.presence_penalty, ""),
    "store": (lambda request: not request.store, "it stores no answers"),
    "temperature": (
        lambda request: request.temperature is None or request.temperature <= MAX_TEMPERATURE,
        f"its scale ends at {MAX_TEMPERATURE}",
    ),
}
"""Fields that only some values of can be expressed: whether this one can, and why not."""

_decode = msgspec.json.Decoder(ChatRequest).decode


def read(body: bytes) -> ChatRequest:
    """Return the request; raises RequestError (400) naming what Anthropic has no word for."""
    request = decode(_decode, body, UPSTREAM)
    for field, (holds, reason) in _CHECKS.items():
        if not holds(request):
            raise inexpressible(field, UPSTREAM, reason)
    return request
