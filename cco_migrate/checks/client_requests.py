"""Requests shaped like Claude Code's: same headers, blocks and fields, texts of our own. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

BETAS = (
    "claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27,"
    "effort-2025-11-24"
)
_EPHEMERAL = {"type": "ephemeral"}
_GUIDE = (
    "You are helping an engineer in a repository of a billing service. Read before you edit, "
    "keep changes small, run the tests of what you touched, and say plainly what you did not "
    "check. "
)
_TASKS = (
    "Explain what the invoice rounding does and where it is tested.",
    "Run the unit tests of the ledger and tell me which one fails.",
    "Read the retry policy and list its limits.",
    "Suggest a name for the new export command.",
    "Summarise the last change to the tax table in two sentences.",
    "Read the migration notes and check the order of the steps.",
)


@dataclass(frozen=True, slots=True)
class ClientRequest:
    """One request as a client would send it.

    Attributes:
        label: Short name for messages.
        headers: In the client's order; without credential, host and length.
        tools: Names of the tools it offers; empty when it offers none.
    """

    label: str
    model: str
    stream: bool
    headers: tuple[tuple[str, str], ...]
    body: bytes
    tools: tuple[str, ...]


def client_requests(models: Sequence[str], *, run: str, streamed: int) -> tuple[ClientRequest, ...]:
    """Build one request per model given, `streamed` of them as streams.

    Args:
        models: One entry per request, in the order in which they are sent.
        run: Names the sessions, so that two runs never share one.
        streamed: How many of them ask for a stream; spread evenly.
    """
    made = []
    for number, model in enumerate(models):
        stream = (number + 1) * streamed // len(models) > number * streamed // len(models)
        made.append(_request(number, model, run, stream=stream))
    return tuple(made)


def small_request(model: str, *, run: str, stream: bool) -> ClientRequest:
    """Build the cheapest request that shows whether a model answers.

    It costs some 30 tokens, and at most 32 come back.
    """
    body = {
        "model": model,
        "max_tokens": 32,
        "messages": [{"role": "user", "content": "Answer with the single word ready."}],
        "stream": stream,
    }
    headers = _headers(run, model, agent=None)
    return ClientRequest(f"small {model}", model, stream, headers, _encode(body), ())


def _request(number: int, model: str, run: str, *, stream: bool) -> ClientRequest:
    haiku, agent = "haiku" in model, None
    if number % 6 == 4:  # every sixth is a sub-agent's
        agent = hashlib.sha256(f"{run}-{number}".encode()).hexdigest()[:17]
    body: dict[str, object] = {
        "model": model,
        "messages": _messages(number, haiku=haiku),
        "system": _system(agent),
        "tools": _TOOLS,
        "metadata": {"user_id": _user_id(run)},
        "max_tokens": 32000,
    }
    if haiku:
        body |= {"thinking": {"type": "disabled"}, "temperature": 1}
    elif number % 3 == 0:
        body |= {"thinking": {"type": "adaptive"}, "output_config": {"effort": "medium"}}
    if stream:
        body["stream"] = True
    tools = tuple(str(tool["name"]) for tool in _TOOLS)
    label = f"#{number + 1} {model}"
    return ClientRequest(label, model, stream, _headers(run, model, agent), _encode(body), tools)


def _messages(number: int, *, haiku: bool) -> list[dict[str, object]]:
    task = _TASKS[number % len(_TASKS)]
    reminder = {
        "type": "text",
        "text": "<system-reminder>The date is kept by the client.</system-reminder>",
    }
    prompt = {"type": "text", "text": task, "cache_control": _EPHEMERAL}
    messages: list[dict[str, object]] = [{"role": "user", "content": [reminder, prompt]}]
    if not haiku and number % 4 == 0:
        note = {
            "type": "text",
            "text": "Further tools can be listed on demand.",
            "cache_control": _EPHEMERAL,
        }
        messages.append({"role": "system", "content": [note]})
    return messages


def _system(agent: str | None) -> list[dict[str, object]]:
    attribution = "x-anthropic-billing-header: cc_version=2.1.329.d3e; cc_entrypoint=sdk-cli;"
    if agent is not None:
        attribution += " cc_is_subagent=true;"
    return [
        {"type": "text", "text": attribution},
        {
            "type": "text",
            "text": "A command-line assistant for software work.",
            "cache_control": _EPHEMERAL,
        },
        {"type": "text", "text": _GUIDE * 24, "cache_control": _EPHEMERAL},
    ]


def _user_id(run: str) -> str:
    device = hashlib.sha256(b"cco-migrate verification").hexdigest()
    return json.dumps({"device_id": device, "account_uuid": "", "session_id": _session(run)})


def _session(run: str) -> str:
    h = hashlib.sha256(f"session {run}".encode()).hexdigest()
    return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-8{h[17:20]}-{h[20:32]}"


def _headers(run: str, model: str, agent: str | None) -> tuple[tuple[str, str], ...]:
    betas = BETAS.partition(",effort")[0] if "haiku" in model else BETAS
    rows = [
        ("accept", "application/json"),
        ("content-type", "application/json"),
        ("user-agent", "claude-cli/2.1.329 (external, sdk-cli; cco-migrate verification)"),
        ("x-claude-code-session-id", _session(run)),
        ("x-stainless-retry-count", "0"),
        ("anthropic-beta", betas),
        ("anthropic-version", "2023-06-01"),
        ("x-app", "cli"),
    ]
    if agent is not None:
        rows.append(("x-claude-code-agent-id", agent))
    return tuple(rows)


def _tool(
    name: str, description: str, properties: dict[str, str], required: list[str]
) -> dict[str, object]:
    return {
        "name": name,
        "description": description,
        "input_schema": {
            "type": "object",
            "properties": {key: {"type": kind} for key, kind in properties.items()},
            "required": required,
            "additionalProperties": False,
        },
    }


def _encode(body: dict[str, object]) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


_TOOLS = (
    _tool("Bash", "Run a command in the project's shell and return what it printed.",
          {"command": "string", "timeout": "number", "description": "string"}, ["command"]),
    _tool("Read", "Return a part of a file of the project.",
          {"file_path": "string", "offset": "integer", "limit": "integer"}, ["file_path"]),
    _tool("Agent", "Give a self-contained piece of work to a sub-agent.",
          {"description": "string", "prompt": "string", "subagent_type": "string"},
          ["description", "prompt"]),
)  # fmt: skip
