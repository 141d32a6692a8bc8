"""The conversation of an OpenAI request as system text and messages of Anthropic. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from gateway.translate.chat_request import (
    AssistantMessage,
    Call,
    DeveloperMessage,
    FilePart,
    ImagePart,
    RefusalPart,
    SystemMessage,
    TextPart,
    ToolMessage,
    UserMessage,
    arguments_of,
    base64_of,
)
from gateway.translate.message_answer import clean_call_id
from gateway.translate.strict import inexpressible, invalid
from gateway.wire.decoding import given

Block: TypeAlias = Mapping[str, object]
Message: TypeAlias = SystemMessage | DeveloperMessage | UserMessage | AssistantMessage | ToolMessage
Part: TypeAlias = TextPart | ImagePart | FilePart | RefusalPart

UPSTREAM = "the Anthropic Messages API"


def conversation(messages: Sequence[Message]) -> tuple[str | list[Block], list[Block]]:
    """Return `system` and `messages`; raises RequestError (400) naming what cannot be said."""
    system: list[Block] = []
    turns: list[Block] = []
    results: list[Block] = []  # of tools, until the turn that follows them
    for index, message in enumerate(messages):
        field = f"messages.{index}"
        if isinstance(message, ToolMessage):
            results.append(_result(message, field))
            continue
        if isinstance(message, UserMessage):
            turns.append(_user(message, results, field))
            results = []
            continue
        if results:
            turns.append({"role": "user", "content": results})
            results = []
        if isinstance(message, AssistantMessage):
            turns.append({"role": "assistant", "content": _said(message, field)})
        elif turns:
            turns.append({"role": "system", "content": _content(message.content, field)})
        else:
            system += _blocks(message.content, field)
    if results:
        turns.append({"role": "user", "content": results})
    return _plain(system), turns


def _plain(blocks: list[Block]) -> str | list[Block]:
    """Return one text without further fields as a string, more as they are."""
    if len(blocks) == 1 and set(blocks[0]) == {"type", "text"}:
        return str(blocks[0]["text"])
    return blocks


def _content(content: str | Sequence[Part], field: str) -> str | list[Block]:
    return content if isinstance(content, str) else _blocks(content, field)


def _blocks(content: str | Sequence[Part], field: str) -> list[Block]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return [_block(part, f"{field}.content.{at}") for at, part in enumerate(content)]


def _block(part: Part, field: str) -> Block:
    if isinstance(part, RefusalPart):
        return {"type": "text", "text": part.refusal}
    block: dict[str, object]
    if isinstance(part, TextPart):
        block = {"type": "text", "text": part.text}
    elif isinstance(part, ImagePart):
        block = {"type": "image", "source": _source(part.image_url.url, field)}
    else:
        block = _document(part, field)
    cache_control = given(part.cache_control)
    if cache_control is not None:
        block["cache_control"] = cache_control
    return block


def _source(url: str, field: str) -> Block:
    if not url.startswith("data:"):
        return {"type": "url", "url": url}
    found = base64_of(url)
    if found is None:
        raise inexpressible(f"{field}.image_url.url", UPSTREAM, "a data URL without base64")
    return {"type": "base64", "media_type": found[0], "data": found[1]}


def _document(part: FilePart, field: str) -> dict[str, object]:
    if part.file.file_id is not None:
        raise inexpressible(f"{field}.file.file_id", UPSTREAM, "the file is kept elsewhere")
    found = base64_of(part.file.file_data or "")
    if found is None:
        raise inexpressible(f"{field}.file.file_data", UPSTREAM, "no data URL with base64")
    source = {"type": "base64", "media_type": found[0], "data": found[1]}
    document: dict[str, object] = {"type": "document", "source": source}
    if part.file.filename:
        document["title"] = part.file.filename
    return document


def _result(message: ToolMessage, field: str) -> Block:
    return {
        "type": "tool_result",
        "tool_use_id": clean_call_id(message.tool_call_id),
        "content": _content(message.content, field),
    }


def _user(message: UserMessage, results: list[Block], field: str) -> Block:
    if not results:
        return {"role": "user", "content": _content(message.content, field)}
    return {"role": "user", "content": results + _blocks(message.content, field)}


def _said(message: AssistantMessage, field: str) -> str | list[Block]:
    blocks = _blocks(message.content or "", field)
    if message.refusal:
        blocks.append({"type": "text", "text": message.refusal})
    for number, call in enumerate(message.tool_calls or ()):
        blocks.append(_call(call, f"{field}.tool_calls.{number}"))
    if not blocks:
        raise invalid(f"{field}: a message of the assistant needs content or tool_calls")
    return _plain(blocks)


def _call(call: Call, field: str) -> Block:
    return {
        "type": "tool_use",
        "id": clean_call_id(call.id),
        "name": call.function.name,
        "input": arguments_of(call, field),
    }
