"""What the demo upstream answers: content, stop reason, JSON and server-sent events. Pure."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

import msgspec

from gateway.demo.request import (
    BYTES_PER_TOKEN,
    Choice,
    Json,
    Prompt,
    Thinking,
    Tool,
    compact,
    count_tokens,
)
from gateway.demo.schema import sample
from gateway.demo.usage import InputUsage

TOOL_WORDS: Mapping[str, tuple[str, ...]] = {
    "weather": ("weather",),
    "read": ("read",),
    "run": ("run", "bash", "shell", "exec"),
}
MAX_QUOTE = 160
JSON_FRAGMENT = 9
WORDS_PER_DELTA = 3


@dataclass(frozen=True, slots=True)
class Content:
    """One content block of an answer.

    Attributes:
        kind: "text", "thinking" or "tool_use".
        text: The text, the thinking, or the tool's input as JSON.
        id: The tool call's id, or the thinking's signature; empty for text.
        name: The tool; empty otherwise.
    """

    kind: str
    text: str
    id: str = ""
    name: str = ""

    def as_json(self) -> dict[str, object]:
        """Return the block as it stands in a JSON answer."""
        if self.kind == "thinking":
            return {"type": "thinking", "thinking": self.text, "signature": self.id}
        if self.kind == "tool_use":
            tool_input = msgspec.json.decode(self.text)
            return {"type": "tool_use", "id": self.id, "name": self.name, "input": tool_input}
        return {"type": "text", "text": self.text}


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer, before it is put on the wire.

    Attributes:
        stop_sequence: The client's sequence that ended it, or None.
        output_tokens: By `count_tokens` over what is in `content`; at least 1.
    """

    message_id: str
    model: str
    content: tuple[Content, ...]
    stop_reason: str
    stop_sequence: str | None
    output_tokens: int
    usage: InputUsage


def answer(prompt: Prompt, usage: InputUsage, message_id: str) -> Answer:
    """Return the answer to a prompt: the same one for the same prompt, whatever the id."""
    budget = (prompt.max_tokens or 0) * BYTES_PER_TOKEN
    content: list[Content] = []
    stop_reason, stop_sequence = "end_turn", None
    for block in _wanted(prompt):
        fitted = _fit(block, budget)
        if fitted.text or not block.text:
            content.append(fitted)
        if fitted.text != block.text:
            stop_reason = "max_tokens"
            break
        # Tokens are rounded up for each block, so the budget shrinks by whole tokens.
        budget -= count_tokens(fitted.text) * BYTES_PER_TOKEN
        if block.kind == "tool_use":
            stop_reason = "tool_use"
    if content and content[-1].kind == "text":
        text, stop_sequence = _stopped(content[-1].text, prompt.stop_sequences)
        content[-1] = Content("text", text)
        stop_reason = "stop_sequence" if stop_sequence else stop_reason
    output_tokens = max(1, sum(count_tokens(block.text) for block in content))
    return Answer(
        message_id, prompt.model, tuple(content), stop_reason, stop_sequence, output_tokens, usage
    )


def as_json(reply: Answer) -> bytes:
    """Return the body of a non-streaming answer."""
    message = _message(reply)
    message["content"] = [block.as_json() for block in reply.content]
    message["stop_reason"] = reply.stop_reason
    message["stop_sequence"] = reply.stop_sequence
    message["usage"] = reply.usage.as_json(reply.output_tokens)
    return msgspec.json.encode(message)


def as_events(reply: Answer) -> Iterator[bytes]:
    """Yield the answer as server-sent events: one item an event, in the provider's order."""
    yield _event("message_start", message=_message(reply))
    yield _event("ping")
    for index, block in enumerate(reply.content):
        yield _event("content_block_start", index=index, content_block=_opening(block))
        for delta in _deltas(block):
            yield _event("content_block_delta", index=index, delta=delta)
        yield _event("content_block_stop", index=index)
    yield _event(
        "message_delta",
        delta={"stop_reason": reply.stop_reason, "stop_sequence": reply.stop_sequence},
        usage=reply.usage.as_json(reply.output_tokens),
    )
    yield _event("message_stop")


def _wanted(prompt: Prompt) -> Iterator[Content]:
    """Yield the blocks an unbounded answer would have."""
    if prompt.thinking is not Thinking.OFF and prompt.choice not in {Choice.ANY, Choice.TOOL}:
        thought = f"A demo does not think. It was asked {_quote(prompt.asked)}; I only count it."
        signature = b64encode(sha256(thought.encode()).digest()).decode()
        shown = thought if prompt.thinking is Thinking.SHOWN else ""
        yield Content("thinking", shown, signature)
    tool = _tool(prompt)
    if tool is not None:
        if prompt.choice is Choice.AUTO:
            yield Content(
                "text", f"This is a demo answer: it calls {tool.name} with made-up input."
            )
        tool_input = compact(sample(tool.schema))
        digest = sha256("\n".join((prompt.asked, tool.name, tool_input)).encode()).hexdigest()
        yield Content("tool_use", tool_input, f"toolu_demo{digest[:20]}", tool.name)
    elif prompt.answer_schema is not None:
        yield Content("text", compact(sample(prompt.answer_schema)))
    else:
        yield Content("text", _prose(prompt))


def _prose(prompt: Prompt) -> str:
    tokens = sum(block.tokens for block in prompt.blocks)
    opening = (
        "The tool's result has arrived, and this is a demo answer to it."
        if prompt.continues_tool
        else f"This is a demo answer to {_quote(prompt.asked)}."
    )
    return (
        f"{opening} No model was asked: the demo upstream made this text from the request alone, "
        "so the same request is answered with the same words. "
        f"The request named {prompt.model} and carried messages: {prompt.messages}, "
        f"tools: {len(prompt.tools)}, prompt tokens: {tokens}. "
        "Tokens are UTF-8 bytes divided by four, for the prompt and for this answer alike. "
        "The usage is therefore honest, and any cost computed from it can be checked by hand."
    )


def _quote(text: str) -> str:
    words = " ".join(text.split())
    if not words:
        return "a message without text"
    return f"“{words}”" if len(words) <= MAX_QUOTE else f"“{words[:MAX_QUOTE]}…”"


def _tool(prompt: Prompt) -> Tool | None:
    """Return the tool to call, or None for an answer in words."""
    if prompt.choice is Choice.NONE or not prompt.tools:
        return None
    if prompt.choice is Choice.TOOL:
        return next((tool for tool in prompt.tools if tool.name == prompt.tool_name), None)
    fitting = _fitting(prompt.tools, prompt.asked)
    if prompt.choice is Choice.ANY:
        return fitting or prompt.tools[0]
    return None if prompt.continues_tool else fitting


def _fitting(tools: Sequence[Tool], asked: str) -> Tool | None:
    """Return the first tool named after what is asked, else the first described so."""
    said = set(re.findall(r"\w+", asked.lower()))
    hints = [hint for word, hints in TOOL_WORDS.items() if word in said for hint in hints]
    by_name = (tool for tool in tools if any(hint in tool.name.lower() for hint in hints))
    by_text = (tool for tool in tools if any(hint in tool.description.lower() for hint in hints))
    return next(by_name, None) or next(by_text, None)


def _fit(block: Content, budget: int) -> Content:
    """Return the block cut to a budget in bytes; a tool call is whole or not there at all."""
    data = block.text.encode()
    if len(data) <= budget:
        return block
    text = "" if block.kind == "tool_use" else data[:budget].decode(errors="ignore")
    return Content(block.kind, text, block.id, block.name)


def _stopped(text: str, sequences: Sequence[str]) -> tuple[str, str | None]:
    """Return the text up to the client's first stop sequence, and which one it was."""
    found = min(((text.find(one), one) for one in sequences if one in text), default=None)
    return (text, None) if found is None else (text[: found[0]], found[1])


def _message(reply: Answer) -> dict[str, object]:
    """Return the message as it is when its first event leaves: no content, one token of output."""
    return {
        "id": reply.message_id,
        "type": "message",
        "role": "assistant",
        "model": reply.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": reply.usage.as_json(1),
    }


def _opening(block: Content) -> Json:
    if block.kind == "thinking":
        return {"type": "thinking", "thinking": "", "signature": ""}
    if block.kind == "tool_use":
        return {"type": "tool_use", "id": block.id, "name": block.name, "input": {}}
    return {"type": "text", "text": ""}


def _deltas(block: Content) -> Iterator[Json]:
    if block.kind == "tool_use":
        # Fragments end in the middle of names and values, as a real model's do.
        yield {"type": "input_json_delta", "partial_json": ""}
        for start in range(0, len(block.text), JSON_FRAGMENT):
            piece = block.text[start : start + JSON_FRAGMENT]
            yield {"type": "input_json_delta", "partial_json": piece}
        return
    for piece in re.findall(rf"(?:\s*\S+){{1,{WORDS_PER_DELTA}}}\s*|\s+", block.text):
        yield {"type": f"{block.kind}_delta", block.kind: piece}
    if block.kind == "thinking":
        yield {"type": "signature_delta", "signature": block.id}


def _event(name: str, **fields: object) -> bytes:
    data = msgspec.json.encode({"type": name, **fields})
    return b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"
