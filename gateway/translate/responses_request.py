"""What a request to the Responses API is made of, whatever the client's format. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

import msgspec

from gateway.translate.fields import present

Item: TypeAlias = Mapping[str, object]
"""One item of the input, one part of its content, or one tool."""

UPSTREAM = "the OpenAI Responses API"

MIN_OUTPUT_TOKENS = 16
"""The API takes no output limit below."""


def encode(model: str, items: Iterable[Item], fields: Item, *, stream: bool) -> bytes:
    """Return a whole request; nothing of it is stored, the conversation belongs to the client."""
    document = {"model": model, "input": list(items), **fields, "store": False}
    return msgspec.json.encode(document | ({"stream": True} if stream else {}))


def limit(tokens: int) -> int:
    """Return the output limit to send for the one that was asked for."""
    return max(tokens, MIN_OUTPUT_TOKENS)


def message(role: str, content: str | Iterable[Item]) -> Item:
    """Return a message of anybody."""
    return {"type": "message", "role": role, "content": content}


def output_text(text: str) -> Item:
    """Return a text within a message of the model."""
    return {"type": "output_text", "text": text}


def call(call_id: str, name: str, arguments: str) -> Item:
    """Return a tool call; `arguments` is JSON."""
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}


def result(call_id: str, output: str | Iterable[Item]) -> Item:
    """Return what a tool answered."""
    return {"type": "function_call_output", "call_id": call_id, "output": output}


def tool(name: str, description: str | None, parameters: object, *, strict: bool | None) -> Item:
    """Return a tool; one that does not ask for `strict` says so, as the API's default is strict."""
    return present(
        type="function",
        name=name,
        description=description,
        parameters=parameters,
        strict=bool(strict),
    )


def named_choice(name: str) -> Item:
    """Return the choice of a tool that must be called."""
    return {"type": "function", "name": name}
