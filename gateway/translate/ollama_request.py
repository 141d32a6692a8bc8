"""What a request to Ollama's chat API is made of, whatever the client's format. Pure.

Source: docs/api.md of the Ollama project, "Generate a chat completion".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import msgspec

from gateway.translate.strict import invalid
from gateway.wire.form import Form

UPSTREAM = "Ollama's chat API"

LEVELS: Mapping[str, str] = {
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}
"""Ollama's `think` for an effort: all its versions know these three words and no others."""

_SEPARATOR = "\n\n"


@dataclass(frozen=True, slots=True)
class Picture:
    """An image in base64; Ollama finds out by itself what kind it is."""

    data: str


Part: TypeAlias = str | Picture


class Function(msgspec.Struct, frozen=True, gc=False):
    """What the model called; `arguments` is a JSON object."""

    name: str
    arguments: msgspec.Raw


class Call(msgspec.Struct, frozen=True, gc=False):
    """A tool call of an earlier turn."""

    id: str
    function: Function


class Message(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One message; `images` are shown to the model in front of `content`.

    Attributes:
        tool_name: On the result of a tool: the tool.
        tool_call_id: On the result of a tool: the call. Older servers match by order alone.
    """

    role: str
    content: str
    images: tuple[str, ...] = ()
    thinking: str | None = None
    tool_calls: tuple[Call, ...] = ()
    tool_name: str | None = None
    tool_call_id: str | None = None


class ToolFunction(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What a tool is; `parameters` is its JSON schema."""

    name: str
    parameters: object
    description: str | None = None


class Tool(msgspec.Struct, frozen=True, gc=False):
    """A tool of the client."""

    function: ToolFunction
    type: Literal["function"] = "function"


class Options(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """How to choose tokens; what is None is left to the model's own settings.

    Attributes:
        num_predict: Output limit, tokens.
    """

    num_predict: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: Sequence[str] | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None


class OllamaRequest(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A whole request.

    Attributes:
        stream: Always said: without it Ollama streams.
        think: Whether to think, or how hard; None is the model's own default.
        format: A JSON schema, or `json` for any object; None is free text.
    """

    model: str
    messages: tuple[Message, ...]
    stream: bool
    options: Options
    tools: tuple[Tool, ...] = ()
    think: bool | str | None = None
    format: msgspec.Raw | str | None = None


class Calls:
    """The tool calls of a conversation: a result names its tool, and clients give only the id."""

    __slots__ = ("_names",)

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def call(self, call_id: str, name: str, arguments: msgspec.Raw) -> Call:
        """Return a call."""
        self._names[call_id] = name
        return Call(call_id, Function(name, arguments))

    def result(self, call_id: str, parts: Iterable[Part], field: str) -> Message:
        """Return what a tool answered. Raises RequestError (400) when nobody called it.

        Args:
            field: Where the client named the call, for the message.
        """
        name = self._names.get(call_id)
        if name is None:
            raise invalid(f"{field}: names no tool call of an earlier turn")
        texts, images = _apart(parts)
        return Message("tool", texts, images, tool_name=name, tool_call_id=call_id)


def turn(role: str, parts: Iterable[Part]) -> Iterator[Message]:
    """Yield the messages of a turn: one, unless an image follows text, so that it stays behind."""
    held: list[Part] = []
    for part in parts:
        if isinstance(part, Picture) and held and isinstance(held[-1], str):
            yield Message(role, *_apart(held))
            held = []
        held.append(part)
    yield Message(role, *_apart(held))


def assistant(
    texts: Iterable[str], thinking: Iterable[str] = (), calls: Iterable[Call] = ()
) -> Message:
    """Return a turn of the model."""
    thought = _joined(thinking) or None
    return Message("assistant", _joined(texts), thinking=thought, tool_calls=tuple(calls))


def level(effort: str | None, form: Form) -> str | None:
    """Return the level that `think` names for an effort; None leaves thinking to the model.

    It is named only where it is known to be taken: a model that cannot think answers 400 to any,
    and most that can know only whether to. All that can think do so unasked.
    Source: server/routes.go of the Ollama project, `ChatHandler`, "does not support thinking" and
    "think value is not supported for this model".
    """
    found = None if effort is None else LEVELS.get(effort)
    return found if found in (form.efforts or ()) else None


def _apart(parts: Iterable[Part]) -> tuple[str, tuple[str, ...]]:
    parts = tuple(parts)
    images = tuple(part.data for part in parts if isinstance(part, Picture))
    return _joined(part for part in parts if isinstance(part, str)), images


def _joined(texts: Iterable[str]) -> str:
    return _SEPARATOR.join(text for text in texts if text)
