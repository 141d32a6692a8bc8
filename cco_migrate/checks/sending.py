"""Send bounded verification requests, one after another, and look at every answer."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cco_migrate.checks.client_requests import ClientRequest
from cco_migrate.checks.sse import StreamCheck
from cco_migrate.context import Context
from cco_migrate.errors import InvalidInput

if TYPE_CHECKING:
    import httpx


@dataclass(slots=True)
class _Tally:
    ids: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    streamed: int = 0


def send_requests(
    url: str, requests: Sequence[ClientRequest], credential: str, context: Context
) -> tuple[list[str], list[str]]:
    """Send requests one after another and return (request ids, faults)."""
    tally = _Tally()
    for number, request in enumerate(requests, 1):
        context.waiting(f"answer {number} of {len(requests)}", 120)
        _exchange(url, request, credential, context, tally)
    return tally.ids, tally.faults


def resolve_credential(reference: str) -> str:
    """Return the secret a reference names; raises InvalidInput when there is none to send."""
    kind, _, name = reference.partition(":")
    if reference == "demo":
        return "demo-key-without-value"
    if kind == "env":
        key = os.environ.get(name, "").strip()
    elif kind == "file":
        try:
            key = Path(name).expanduser().read_text(encoding="ascii").strip()
        except OSError as error:
            raise InvalidInput(f"--key {reference}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise InvalidInput(f"--key {reference}: the file holds no key") from error
    else:
        raise InvalidInput(f"--key {kind}…: write env:NAME or file:PATH, never the key itself")
    if not key or not key.isascii() or not key.isprintable():
        raise InvalidInput(f"--key {reference}: nothing there that could be sent as a key")
    return key


def _exchange(url: str, request: ClientRequest, key: str, context: Context, tally: _Tally) -> None:
    import httpx  # noqa: PLC0415  # see world.Http

    headers = [*request.headers, ("x-api-key", key)]
    faults: list[str] = []
    try:
        with context.world.http.client.stream(
            "POST", f"{url}/v1/messages?beta=true", headers=headers, content=request.body
        ) as answer:
            if request_id := answer.headers.get("x-gateway-request-id"):
                tally.ids.append(request_id)
            faults = _faults(answer, request)
    except httpx.RequestError as error:  # what the transport says, undecodable bodies included
        faults.append(str(error) or type(error).__name__)
    tally.faults += [f"{request.label}: {fault}" for fault in faults]


def _faults(answer: httpx.Response, request: ClientRequest) -> list[str]:
    if answer.status_code != 200:
        answer.read()
        return [f"{answer.status_code} {answer.text[:200]}"]
    if not request.stream:
        return _json_faults(answer.read(), request)
    check = StreamCheck()
    for chunk in answer.iter_raw():
        check.feed(chunk)
    return [*check.faults(), *_unknown_tools([name for name, _ in check.tool_calls], request)]


def _json_faults(body: bytes, request: ClientRequest) -> list[str]:
    try:
        row: Any = json.loads(body)  # Any: JSON
        blocks, usage = list(row["content"]), dict(row["usage"] or {})
        called = [str(block["name"]) for block in blocks if block["type"] == "tool_use"]
    except (ValueError, KeyError, TypeError):
        return ["the answer is no message with content and usage"]
    faults = _unknown_tools(called, request)
    if row.get("type") != "message" or not blocks:
        faults.append("the answer is no message with content")
    if not {"input_tokens", "output_tokens"} <= usage.keys():
        faults.append("usage is missing")
    return faults


def _unknown_tools(called: Sequence[str], request: ClientRequest) -> list[str]:
    return [f"tool call {name} was never offered" for name in called if name not in request.tools]
