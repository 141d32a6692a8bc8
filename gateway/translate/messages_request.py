"""A request in the Anthropic Messages format, as clients send it to upstreams of others. Pure.

The structs say what can be expressed somewhere; what they do not declare is refused. What no
upstream needs has the type `Unused` and a reason in `NOT_NEEDED`; what one upstream cannot take is
refused, or listed with a reason, in the module of that direction.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec
from msgspec import UNSET

from gateway.translate.strict import Strict, Unused, decode, inexpressible

NOT_NEEDED: Mapping[str, str] = {
    "betas": "betas name features of the Anthropic API; the fields that use them are checked here",
    "cache_control": "other upstreams cache prompts by themselves, and report it if they can",
    "citations": "where words of an earlier answer came from; the words themselves are sent",
    "context_management": "edits old turns for their length only, at the provider's discretion",
    "data": "encrypted thinking, readable only to the model that wrote it",
    "defer_loading": "saves context by loading a tool late; here every tool is sent in full",
    "eager_input_streaming": "other upstreams send a tool's arguments as they come in any case",
    "output_config": "on a message: the effort of one turn; the request's own effort is sent",
    "signature": "proves thinking to the model that wrote it; no other can check it",
}
"""Fields that are left out on the way to any upstream, by name, each with the reason."""

BILLING_TEXT = "x-anthropic-billing-header:"
"""A system text that begins so is accounting between client and Anthropic: not sent elsewhere."""

ERROR_PREFIX = "Error: "
"""In front of a failed tool's result: others have no mark for it."""


class Base64(Strict, tag="base64", tag_field="type"):
    """Bytes within the request."""

    media_type: str
    data: str

    @property
    def url(self) -> str:
        """The bytes as a data URL."""
        return f"data:{self.media_type};base64,{self.data}"


class Url(Strict, tag="url", tag_field="type"):
    """Bytes the provider fetches."""

    url: str


class PlainText(Strict, tag="text", tag_field="type"):
    """The text of a document."""

    data: str
    media_type: Literal["text/plain"] = "text/plain"


class Text(Strict, tag="text", tag_field="type"):
    """A piece of text."""

    text: str
    cache_control: Unused = UNSET
    citations: Unused = UNSET


class Image(Strict, tag="image", tag_field="type"):
    """A picture."""

    source: Base64 | Url
    cache_control: Unused = UNSET


class Citations(Strict):
    """Whether the answer is to cite a document."""

    enabled: bool = False


class Document(Strict, tag="document", tag_field="type"):
    """A PDF or a plain text."""

    source: Base64 | Url | PlainText
    title: str | None = None
    context: str | None = None
    citations: Citations | None = None
    cache_control: Unused = UNSET


class ToolReference(Strict, tag="tool_reference", tag_field="type"):
    """The result of a tool search: a tool that may be used from now on."""

    tool_name: str
    cache_control: Unused = UNSET


class ToolResult(Strict, tag="tool_result", tag_field="type"):
    """What a tool answered."""

    tool_use_id: str
    content: str | list[Text | Image | Document | ToolReference] | None = None
    is_error: bool | None = None
    cache_control: Unused = UNSET


class Direct(Strict, tag="direct", tag_field="type"):
    """A tool called by the model itself, not by code it runs."""


class ToolUse(Strict, tag="tool_use", tag_field="type"):
    """A tool the model called; what is only ever null here comes from SDKs that send all fields."""

    id: str
    name: str
    input: msgspec.Raw
    caller: Direct | None = None
    toolset_name: None = None
    cache_control: Unused = UNSET


class Thinking(Strict, tag="thinking", tag_field="type"):
    """Thinking of an earlier turn."""

    thinking: str = ""
    signature: Unused = UNSET


class RedactedThinking(Strict, tag="redacted_thinking", tag_field="type"):
    """Encrypted thinking of an earlier turn."""

    data: Unused = UNSET


class UserMessage(Strict, tag="user", tag_field="role"):
    """A turn of the user, tool results included."""

    content: str | list[Text | Image | Document | ToolResult]
    output_config: Unused = UNSET


class AssistantMessage(Strict, tag="assistant", tag_field="role"):
    """A turn of the model."""

    content: str | list[Text | ToolUse | Thinking | RedactedThinking]
    output_config: Unused = UNSET


class SystemMessage(Strict, tag="system", tag_field="role"):
    """An instruction between turns."""

    content: str | list[Text]
    output_config: Unused = UNSET


class Tool(Strict):
    """A tool of the client."""

    name: str
    input_schema: msgspec.Raw
    description: str | None = None
    type: Literal["custom"] | None = None
    strict: bool | None = None
    input_examples: list[msgspec.Raw] | None = None
    allowed_callers: list[Literal["direct"]] | None = None
    cache_control: Unused = UNSET
    defer_loading: Unused = UNSET
    eager_input_streaming: Unused = UNSET

    def full_description(self) -> str | None:
        """Return the description with the examples, for which others have no field of their own."""
        if not self.input_examples:
            return self.description
        examples = "\n".join(bytes(example).decode() for example in self.input_examples)
        return f"{self.description or ''}\n\nExamples of input:\n{examples}".strip()


class _Choice(Strict, tag_field="type"):
    disable_parallel_tool_use: bool | None = None

    @property
    def kind(self) -> str:
        """The value of `type`."""
        return str(self.__struct_config__.tag)


class Auto(_Choice, tag="auto"):
    """The model may call tools."""


class AnyTool(_Choice, tag="any"):
    """The model must call a tool."""


class Named(_Choice, tag="tool", kw_only=True):
    """The model must call this tool."""

    name: str


class NoTool(_Choice, tag="none"):
    """The model must not call a tool."""


class ThinkingOn(Strict, tag="enabled", tag_field="type"):
    """Thinking up to a number of tokens."""

    budget_tokens: int
    display: Literal["summarized", "omitted"] | None = None


class ThinkingAdaptive(Strict, tag="adaptive", tag_field="type"):
    """Thinking as much as the model finds right."""

    display: Literal["summarized", "omitted"] | None = None


class ThinkingOff(Strict, tag="disabled", tag_field="type"):
    """No thinking."""


class ThinkingBetweenTools(Strict, tag="between_tools", tag_field="type"):
    """No thinking before the answer; between tool calls others know of no switch of its own."""


class JsonSchema(Strict, tag="json_schema", tag_field="type"):
    """The form an answer must have."""

    schema: msgspec.Raw


class OutputConfig(Strict):
    """How much work to put into the answer, and its form.

    Attributes:
        effort: The two least are OpenAI's: an effort is lowered to them for a model that takes no
            other one.
    """

    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    format: JsonSchema | None = None


class Metadata(Strict):
    """Who asks."""

    user_id: str | None = None


class MessagesRequest(Strict):
    """A whole request."""

    model: str
    messages: list[UserMessage | AssistantMessage | SystemMessage]
    max_tokens: int
    system: str | list[Text] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: list[str] | None = None
    stream: bool | None = None
    tools: list[Tool] | None = None
    tool_choice: Auto | AnyTool | Named | NoTool | None = None
    thinking: ThinkingOn | ThinkingAdaptive | ThinkingOff | ThinkingBetweenTools | None = None
    metadata: Metadata | None = None
    output_config: OutputConfig | None = None
    output_format: JsonSchema | None = None  # the beta's name for output_config.format
    service_tier: Literal["auto", "standard_only"] | None = None
    betas: Unused = UNSET
    cache_control: Unused = UNSET
    context_management: Unused = UNSET

    @property
    def thinks_not(self) -> bool:
        """Whether the answer is to begin without thinking."""
        return isinstance(self.thinking, ThinkingOff | ThinkingBetweenTools)

    @property
    def effort(self) -> str | None:
        """How hard to work, in Anthropic's words; None leaves it to the model."""
        return None if self.output_config is None else self.output_config.effort

    @property
    def schema(self) -> msgspec.Raw | None:
        """The JSON schema the answer must follow; None for free text."""
        form = self.output_config.format if self.output_config is not None else None
        form = form or self.output_format
        return None if form is None else form.schema

    @property
    def system_text(self) -> str:
        """The instructions in front of the conversation; empty when there are none."""
        if self.system is None or isinstance(self.system, str):
            return self.system or ""
        texts = (block.text for block in self.system)
        return "\n\n".join(text for text in texts if not text.startswith(BILLING_TEXT))


_decode = msgspec.json.Decoder(MessagesRequest).decode


def read(body: bytes, upstream: str) -> MessagesRequest:
    """Return the request; raises RequestError (400) naming what `upstream` has no word for."""
    request = decode(_decode, body, upstream)
    if request.messages and isinstance(request.messages[-1], AssistantMessage):
        last = f"messages.{len(request.messages) - 1}"
        raise inexpressible(last, upstream, "the beginning of an answer cannot be given")
    return request


def check_document(document: Document, field: str, upstream: str) -> None:
    """Raise RequestError (400) when a document asks for what `upstream` cannot do."""
    if document.context:
        raise inexpressible(f"{field}.context", upstream)
    if document.citations is not None and document.citations.enabled:
        raise inexpressible(f"{field}.citations", upstream)
