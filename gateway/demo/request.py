"""What the demo upstream understands of a request: bytes become one frozen object. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import ceil

import msgspec

from gateway.errors import RequestError

Json = Mapping[str, object]

BYTES_PER_TOKEN = 4
IMAGE_TOKENS = 1600
MAX_BREAKPOINTS = 4
TTL_S: Mapping[str, int] = {"5m": 300, "1h": 3600}
DEFAULT_TTL = "5m"
BINARY_BLOCKS = frozenset({"image", "document"})


class Thinking(StrEnum):
    """Whether the answer begins with a thinking block, and whether its text is shown."""

    OFF = "off"
    SHOWN = "shown"
    OMITTED = "omitted"


class Choice(StrEnum):
    """What `tool_choice` asks for."""

    AUTO = "auto"
    ANY = "any"
    TOOL = "tool"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Block:
    """One piece of the prompt in the order a provider reads it: tools, system, messages.

    Attributes:
        identity: What makes two blocks the same: place and content, without `cache_control`.
        tokens: By `count_tokens`.
        ttl_s: Seconds for which the prefix that ends here may be cached; None = no breakpoint.
    """

    identity: bytes
    tokens: int
    ttl_s: int | None


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool the client can run."""

    name: str
    description: str
    schema: Json


@dataclass(frozen=True, slots=True)
class Prompt:
    """One request, as far as an answer depends on it.

    Attributes:
        max_tokens: Bound of the answer; None where none is asked for (token counting).
        asked: Last text of the last user message; empty when there is none.
        continues_tool: The last user message carries a tool's result.
        tool_name: The tool that `Choice.TOOL` names; empty otherwise.
        answer_schema: JSON Schema the answer's text must follow, or None.
    """

    model: str
    max_tokens: int | None
    stream: bool
    blocks: tuple[Block, ...]
    messages: int
    asked: str
    continues_tool: bool
    tools: tuple[Tool, ...]
    choice: Choice
    tool_name: str
    thinking: Thinking
    stop_sequences: tuple[str, ...]
    answer_schema: Json | None


def count_tokens(text: str) -> int:
    """Return tokens by the demo's one rule: UTF-8 bytes / 4, rounded up; 0 for an empty text."""
    return ceil(len(text.encode()) / BYTES_PER_TOKEN)


def compact(value: object) -> str:
    """Return JSON without blanks and with sorted keys: one text for one value."""
    return msgspec.json.encode(value, order="deterministic").decode()


def parse(body: bytes, *, counting: bool = False) -> Prompt:
    """Return the prompt in a request body.

    Args:
        body: Body of `/v1/messages`, or of `/v1/messages/count_tokens`.
        counting: The latter, which needs no `max_tokens`.

    Raises:
        RequestError: 400 in the provider's words when the body is not such a request.
    """
    wire = _decode(body)
    model, messages = _required(wire, counting=counting)
    last = next((m for m in reversed(messages) if m.role == "user"), None)
    content = _content(last.content) if last is not None else ()
    texts = [str(block.get("text", "")) for block in content if block.get("type") == "text"]
    shape = wire.output_config.format if wire.output_config else None
    return Prompt(
        model=model,
        max_tokens=wire.max_tokens,
        stream=wire.stream,
        blocks=_blocks(wire),
        messages=len(messages),
        asked=texts[-1] if texts else "",
        continues_tool=any(block.get("type") == "tool_result" for block in content),
        tools=tuple(_tools(wire.tools)),
        choice=wire.tool_choice.type if wire.tool_choice else Choice.AUTO,
        tool_name=wire.tool_choice.name if wire.tool_choice else "",
        thinking=_thinking(wire.thinking),
        stop_sequences=tuple(text for text in wire.stop_sequences if text),
        answer_schema=shape.schema if shape else None,
    )


class _WireMessage(msgspec.Struct, frozen=True):
    role: str
    content: str | list[dict[str, object]]


class _WireChoice(msgspec.Struct, frozen=True):
    type: Choice
    name: str = ""


class _WireThinking(msgspec.Struct, frozen=True):
    type: str
    display: str | None = None


class _WireFormat(msgspec.Struct, frozen=True):
    schema: dict[str, object] | None = None


class _WireOutput(msgspec.Struct, frozen=True):
    format: _WireFormat | None = None


class _Wire(msgspec.Struct, frozen=True):
    """The body's fields that matter here; all others are allowed and ignored."""

    model: str | None = None
    messages: list[_WireMessage] | None = None
    max_tokens: int | None = None
    stream: bool = False
    system: str | list[dict[str, object]] = ""
    tools: list[dict[str, object]] = []
    tool_choice: _WireChoice | None = None
    thinking: _WireThinking | None = None
    output_config: _WireOutput | None = None
    stop_sequences: list[str] = []
    cache_control: dict[str, object] | None = None


def _decode(body: bytes) -> _Wire:
    try:
        return msgspec.json.decode(body, type=_Wire)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from error
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise _invalid("The request body is not valid JSON") from error


def _required(wire: _Wire, *, counting: bool) -> tuple[str, list[_WireMessage]]:
    """Return the model and the messages, once every field that must be there is."""
    if not wire.model:
        raise _invalid("model: Field required")
    if wire.messages is None:
        raise _invalid("messages: Field required")
    if not wire.messages:
        raise _invalid("messages: at least one message is required")
    if wire.max_tokens is None and not counting:
        raise _invalid("max_tokens: Field required")
    if wire.max_tokens is not None and wire.max_tokens < 1:
        raise _invalid("max_tokens: Input should be greater than or equal to 1")
    return wire.model, wire.messages


def _content(content: str | list[dict[str, object]]) -> tuple[Json, ...]:
    if isinstance(content, str):
        return ({"type": "text", "text": content},) if content else ()
    return tuple(content)


def _blocks(wire: _Wire) -> tuple[Block, ...]:
    blocks = [_block("tool", tool) for tool in wire.tools]
    blocks += [_block("system", block) for block in _content(wire.system)]
    for index, message in enumerate(wire.messages or ()):
        place = f"{index} {message.role}"
        blocks += [_block(place, block) for block in _content(message.content)]
    if wire.cache_control is not None and blocks:
        last = blocks[-1]
        blocks[-1] = Block(last.identity, last.tokens, _ttl(wire.cache_control))
    marked = sum(block.ttl_s is not None for block in blocks)
    if marked > MAX_BREAKPOINTS:
        raise _invalid(
            f"A maximum of {MAX_BREAKPOINTS} blocks with cache_control may be provided. "
            f"Found {marked}."
        )
    return tuple(blocks)


def _block(place: str, block: Json) -> Block:
    bare = {key: value for key, value in block.items() if key != "cache_control"}
    identity = f"{place}\n{compact(bare)}\n".encode()
    return Block(identity, _block_tokens(bare), _ttl(block.get("cache_control")))


def _block_tokens(block: Json) -> int:
    """Count text as itself, a picture flat, a tool's result as its parts, the rest as JSON."""
    kind = block.get("type")
    if kind == "text":
        return count_tokens(str(block.get("text", "")))
    if kind in BINARY_BLOCKS:
        return IMAGE_TOKENS
    if kind == "tool_result":
        content = block.get("content")
        if isinstance(content, str):
            return count_tokens(content)
        if isinstance(content, list):
            return sum(_block_tokens(part) for part in content if isinstance(part, dict))
    return count_tokens(compact(block))


def _ttl(control: object) -> int | None:
    if not isinstance(control, Mapping):
        return None
    ttl = control.get("ttl", DEFAULT_TTL)
    if not isinstance(ttl, str) or ttl not in TTL_S:
        raise _invalid('cache_control.ttl: Input should be "5m" or "1h"')
    return TTL_S[ttl]


def _tools(wire: list[dict[str, object]]) -> Iterator[Tool]:
    """Yield the tools a client can run now: server tools and deferred ones have no part in it."""
    for tool in wire:
        name, schema = tool.get("name"), tool.get("input_schema")
        if isinstance(name, str) and isinstance(schema, dict) and not tool.get("defer_loading"):
            yield Tool(name, str(tool.get("description") or ""), schema)


def _thinking(wire: _WireThinking | None) -> Thinking:
    if wire is None or wire.type not in {"enabled", "adaptive"}:
        return Thinking.OFF
    return Thinking.OMITTED if wire.display == "omitted" else Thinking.SHOWN


def _invalid(message: str) -> RequestError:
    return RequestError(400, "invalid_request_error", message)
