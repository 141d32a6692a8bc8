"""Requests whose right answer is known beforehand, and what is missing from an answer. Pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace

from cco_migrate.checks.client_requests import ClientRequest, small_request

TOOL = "report_word"
TOOL_EVERY = 3
"""Every third canary asks for a tool call, the others for words."""

_WORDS = (
    "amber", "birch", "cedar", "dune", "ember", "fjord", "grove", "heath", "inlet", "juniper",
    "knoll", "larch", "meadow", "nettle", "orchard", "pebble",
)  # fmt: skip
_TOOL = {
    "name": TOOL,
    "description": "Report one word.",
    "input_schema": {
        "type": "object",
        "properties": {"word": {"type": "string"}},
        "required": ["word"],
    },
}


@dataclass(frozen=True, slots=True)
class Canary:
    """One question, to be asked as a stream and, where the words are in doubt, once more whole.

    Attributes:
        words: What a model that obeys answers; empty for a tool canary.
        betas: What the `anthropic-beta` header names.
        model: Which model is asked.
    """

    stream: ClientRequest
    whole: ClientRequest
    words: str
    betas: tuple[str, ...]
    model: str

    @property
    def wants_tool(self) -> bool:
        """Whether the answer has to be a tool call."""
        return not self.words


def canary(number: int, *, run: str, model: str) -> Canary:
    """Return a canary that no other of any run equals, so that no cache knows its answer."""
    wants_tool = number % TOOL_EVERY == TOOL_EVERY - 1
    words = _words(f"{run} {number}")
    body: dict[str, object] = {"model": model, "max_tokens": 96}
    if wants_tool:
        asked = f"Report the word {words.split()[0]} with the tool. Reference {run}-{number}."
        body |= {"tools": [_TOOL], "tool_choice": {"type": "tool", "name": TOOL}}
    else:
        asked = f"Repeat exactly, and nothing else: {words}"
    body["messages"] = [{"role": "user", "content": asked}]
    stream = _request(body, number, model, run, stream=True)
    whole = _request(body, number, model, run, stream=False)
    betas = next(value for name, value in stream.headers if name == "anthropic-beta")
    return Canary(stream, whole, "" if wants_tool else words, tuple(betas.split(",")), model)


def tool_fault(calls: tuple[tuple[str, str], ...]) -> str:
    """Return what is wrong with the tool calls of a tool canary; empty when nothing is."""
    if [name for name, _ in calls] != [TOOL]:
        return f"the tool call that was asked for did not come ({len(calls)} others did)"
    try:
        given = json.loads(calls[0][1])
    except ValueError:
        return "the arguments of the tool call are not whole"
    right = isinstance(given, dict) and isinstance(given.get("word"), str)
    return "" if right else "the arguments of the tool call do not fit its schema"


def lost_piece(whole: str, streamed: str) -> tuple[int, int] | None:
    """Return where one piece of a text is missing from a stream, and its length.

    None when nothing is missing, or when the two are different texts: then nothing can be said.
    """
    missing = len(whole) - len(streamed)
    if missing <= 0:
        return None
    begin = 0
    while begin < len(streamed) and streamed[begin] == whole[begin]:
        begin += 1
    return (begin, missing) if whole[begin + missing :] == streamed[begin:] else None


def _request(
    body: dict[str, object], number: int, model: str, run: str, *, stream: bool
) -> ClientRequest:
    encoded = json.dumps({**body, "stream": stream}, separators=(",", ":")).encode()
    tools = (TOOL,) if "tools" in body else ()
    made = small_request(model, run=run, stream=stream)
    return replace(made, label=f"canary {number + 1}", body=encoded, tools=tools)


def _words(seed: str) -> str:
    digest = hashlib.sha256(seed.encode()).digest()[:12]
    return " ".join(_WORDS[byte % len(_WORDS)] for byte in digest)
