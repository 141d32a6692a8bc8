"""A request in the OpenAI chat completions format, as clients send it to upstreams of others. Pure.

The structs say what can be expressed somewhere; what they do not declare is refused. What no
upstream needs has the type `Unused` and a reason in `NOT_NEEDED`; what one upstream cannot take is
refused by its `Checks`, or listed with a reason in the module of that direction.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

import msgspec
from msgspec import UNSET

from gateway.translate.answer import is_object
from gateway.translate.strict import Strict, Unused, decode, inexpressible, invalid
from gateway.wire.decoding import NULL

NOT_NEEDED: Mapping[str, str] = {
    "annotations": "where words of an earlier answer came from; the words themselves are sent",
    "include_obfuscation": "padding against traffic analysis, made by the server that streams",
    "metadata": "labels of stored answers; none is stored",
    "name": "on a tool message: the function, which the call's id says already",
    "prediction": "speeds an answer up; it does not change it",
    "reasoning_details": "thinking of earlier turns in the form of one gateway's own",
}
"""Fields that are left out on the way to any upstream, by name, each with the reason."""

NO_PARAMETERS: Mapping[str, object] = {"type": "object", "properties": {}}
"""The schema of a tool that takes nothing, which chat completions may leave out."""

_DATA_URL = re.compile(
    r"data:(?P<type>[\w.+-]+/[\w.+-]+)(?:;[\w.+-]+=[^;,]*)*;base64,(?P<data>.*)", re.DOTALL
)


class TextPart(Strict, tag="text", tag_field="type"):
    """A piece of text; `cache_control` is Anthropic's, and gateways let OpenAI clients send it."""

    text: str
    cache_control: msgspec.Raw = NULL


class ImageUrl(Strict):
    """Where an image is, or the image itself as a data URL."""

    url: str
    detail: str | None = None


class ImagePart(Strict, tag="image_url", tag_field="type"):
    """A picture."""

    image_url: ImageUrl
    cache_control: msgspec.Raw = NULL


class File(Strict):
    """A file within the request, or one that OpenAI keeps."""

    file_data: str | None = None
    filename: str | None = None
    file_id: str | None = None


class FilePart(Strict, tag="file", tag_field="type"):
    """A document."""

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
    reasoning: str | None = None
    reasoning_content: str | None = None
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


class JsonForm(Strict, tag="json_object", tag_field="type"):
    """Any JSON object."""


class Schema(Strict):
    """A JSON schema."""

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
    response_format: TextForm | JsonForm | SchemaForm | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = (
        None
    )
    user: str | None = None
    safety_identifier: str | None = None
    service_tier: Literal["auto", "default", "flex", "priority"] | None = None
    n: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    logit_bias: dict[str, float] | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    store: bool | None = None
    modalities: list[Literal["text"]] | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    seed: int | None = None
    metadata: Unused = UNSET
    prediction: Unused = UNSET

    @property
    def limit(self) -> int | None:
        """The output limit, by either of its names."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def stops(self) -> list[str] | None:
        """The stop sequences; None for none."""
        return ([self.stop] if isinstance(self.stop, str) else self.stop) or None


Checks: TypeAlias = Mapping[str, tuple[Callable[[ChatRequest], bool], str]]
"""By field: whether its value can be expressed, and why not if it cannot."""

NO_STOPS: Checks = {"stop": (lambda request: not request.stops, "")}
NO_PENALTIES: Checks = {
    "frequency_penalty": (lambda request: not request.frequency_penalty, ""),
    "presence_penalty": (lambda request: not request.presence_penalty, ""),
}
ONE_TIER: Checks = {
    "service_tier": (
        lambda request: request.service_tier in {None, "auto", "default"},
        "it knows no other class of service",
    )
}
ONE_VERBOSITY: Checks = {
    "verbosity": (lambda request: request.verbosity in {None, "medium"}, "answers are as they are")
}

_EVERYWHERE: Checks = {
    "n": (lambda request: request.n in {None, 1}, "it gives one answer"),
    "logprobs": (lambda request: not request.logprobs, ""),
    "top_logprobs": (lambda request: not request.top_logprobs, ""),
    "logit_bias": (lambda request: not request.logit_bias, ""),
    "store": (lambda request: not request.store, "it stores no answers"),
}

_decode = msgspec.json.Decoder(ChatRequest).decode


def read(body: bytes, upstream: str, checks: Checks) -> ChatRequest:
    """Return the request; raises RequestError (400) naming what `upstream` has no word for."""
    request = decode(_decode, body, upstream)
    for field, (holds, reason) in {**_EVERYWHERE, **checks}.items():
        if not holds(request):
            raise inexpressible(field, upstream, reason)
    return request


def base64_of(url: str) -> tuple[str, str] | None:
    """Return media type and base64 of a data URL; None when the URL is none, or not in base64."""
    parts = _DATA_URL.fullmatch(url)
    return None if parts is None else (parts["type"], parts["data"])


def arguments_of(call: Call, field: str) -> msgspec.Raw:
    """Return a call's arguments; none are an empty object.

    Raises RequestError (400) when they are no JSON object; `field` names the call in it.
    """
    arguments = call.function.arguments.strip() or "{}"
    if not is_object(arguments):
        raise invalid(f"{field}.function.arguments: must be a JSON object")
    return msgspec.Raw(arguments.encode())
