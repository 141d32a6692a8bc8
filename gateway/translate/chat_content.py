"""The conversation of an OpenAI request as system text and messages of Anthropic. Pure.

An instruction in the middle of the conversation stays where it is, within the turn of the user. A
turn with the role `system` would be refused by all models before Claude Opus 4.8, by later ones
behind an answer, and by other servers of the format; among the instructions in front it would hold
for what was said before it, and what the prompt cache has of the conversation would be lost.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from gateway.translate.call_ids import clean_call_id
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
from gateway.translate.strict import inexpressible, invalid
from gateway.wire.decoding import given

Block: TypeAlias = Mapping[str, object]
Message: TypeAlias = SystemMessage | DeveloperMessage | UserMessage | AssistantMessage | ToolMessage
Part: TypeAlias = TextPart | ImagePart | FilePart | RefusalPart
Instruction: TypeAlias = SystemMessage | DeveloperMessage

UPSTREAM = "the Anthropic Messages API"

INSTRUCTION = "<system>{}</system>"
"""An instruction within a turn of the user; a tag says that the words are not the user's own."""

IMAGE_TYPES: Mapping[str, str] = {"image/jpg": "image/jpeg"}
"""Anthropic's media type for one that clients send and nobody registered."""


def conversation(messages: Sequence[Message]) -> tuple[str | list[Block], list[Block]]:
    """Return `system` and `messages`; raises RequestError (400) naming what cannot be said."""
    system: list[Block] = []
    turns: list[Block] = []
    heard: list[Block] | None = None  # since the last answer; None when nothing was
    for index, message in enumerate(messages):
        field = f"messages.{index}"
        if isinstance(message, AssistantMessage):
            said = _said(message, field)
            if said:  # a turn without content would be refused
                turns += _turn(heard)
                turns.append({"role": "assistant", "content": said})
                heard = None
        elif isinstance(message, Instruction) and not turns and heard is None:
            system += _without_blanks(_blocks(message.content, field))
        elif blocks := _heard(message, field):
            heard = heard or []
            heard += blocks
    turns += _turn(heard)
    return _plain(system), turns


def _turn(heard: list[Block] | None) -> Iterator[Block]:
    """Yield the turn in which the model hears this: the results of its calls have to come first."""
    if heard is not None:
        blocks = _without_blanks(heard) or heard  # a blank turn is the upstream's to refuse
        blocks.sort(key=lambda block: block["type"] != "tool_result")
        yield {"role": "user", "content": _plain(blocks)}


def _heard(message: UserMessage | ToolMessage | Instruction, field: str) -> list[Block]:
    """Return what a message says; empty for a blank instruction."""
    if isinstance(message, ToolMessage):
        return [_result(message, field)]
    blocks = _blocks(message.content, field)
    if isinstance(message, UserMessage):
        return blocks or [{"type": "text", "text": ""}]
    return [_instruction(block) for block in _without_blanks(blocks)]


def _without_blanks(blocks: Iterable[Block]) -> list[Block]:
    """Return the blocks but for blank texts: beside others they are nothing, and refused there."""
    return [block for block in blocks if block["type"] != "text" or str(block["text"]).strip()]


def _instruction(block: Block) -> Block:
    return {**block, "text": INSTRUCTION.format(block["text"])}


def _plain(blocks: list[Block]) -> str | list[Block]:
    """Return one text without further fields as a string, more as they are."""
    if len(blocks) == 1 and set(blocks[0]) == {"type", "text"}:
        return str(blocks[0]["text"])
    return blocks


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
    media_type = found[0].lower()
    media_type = IMAGE_TYPES.get(media_type, media_type)
    return {"type": "base64", "media_type": media_type, "data": found[1]}


def _document(part: FilePart, field: str) -> dict[str, object]:
    if part.file.file_id is not None:
        raise inexpressible(f"{field}.file.file_id", UPSTREAM, "the file is kept elsewhere")
    found = base64_of(part.file.file_data or "")
    if found is None:
        raise inexpressible(f"{field}.file.file_data", UPSTREAM, "no data URL with base64")
    source = _document_source(*found, f"{field}.file.file_data")
    document: dict[str, object] = {"type": "document", "source": source}
    if part.file.filename:
        document["title"] = part.file.filename
    return document


def _document_source(media_type: str, data: str, field: str) -> Block:
    """Return a file's contents: base64 is for PDF alone, text has to come as text."""
    if not media_type.lower().startswith("text/"):
        return {"type": "base64", "media_type": media_type, "data": data}
    try:
        text = base64.b64decode(data, validate=True).decode()
    except binascii.Error as error:
        raise invalid(f"{field}: must be base64") from error
    except UnicodeDecodeError as error:
        raise inexpressible(field, UPSTREAM, "its text is not UTF-8") from error
    return {"type": "text", "media_type": "text/plain", "data": text}


def _result(message: ToolMessage, field: str) -> Block:
    blocks = _without_blanks(_blocks(message.content, field))
    return {
        "type": "tool_result",
        "tool_use_id": clean_call_id(message.tool_call_id),
        "content": _plain(blocks) or "",
    }


def _said(message: AssistantMessage, field: str) -> str | list[Block]:
    blocks = _blocks(message.content or "", field)
    if message.refusal:
        blocks.append({"type": "text", "text": message.refusal})
    calls = enumerate(message.tool_calls or ())
    called = [_call(call, f"{field}.tool_calls.{number}") for number, call in calls]
    return _plain(_without_blanks(blocks) + called)


def _call(call: Call, field: str) -> Block:
    return {
        "type": "tool_use",
        "id": clean_call_id(call.id),
        "name": call.function.name,
        "input": arguments_of(call, field),
    }
