"""Send bounded verification requests, one after another, and look at every answer."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cco_migrate.checks.client_requests import ClientRequest
from cco_migrate.checks.sse import AT_ONCE, StreamCheck
from cco_migrate.context import Context
from cco_migrate.errors import InvalidInput
from cco_migrate.world import Clock, World

if TYPE_CHECKING:
    import httpx

ANSWER_S = 120.0
"""An answer of a verification request that takes longer is given up."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and what came back.

    Attributes:
        request_id: None when the answer names none.
        status: None when nobody answered.
        faults: What was wrong with the answer, as sentences; empty for a good one.
        text: All text of the answer.
        tool_calls: Name and arguments, as JSON text, of each tool call.
        usage: Tokens by the provider's names; empty when the answer says none.
        longest_gap_s: Longest silence within a stream.
        first_token_s: From asking to the first piece of content of a stream; None without any.
        at_once: Whether all content of a stream came in one read, which is among the faults then;
            None without enough of it.
    """

    request_id: str | None = None
    status: int | None = None
    faults: tuple[str, ...] = ()
    text: str = ""
    tool_calls: tuple[tuple[str, str], ...] = ()
    usage: Mapping[str, int] = field(default_factory=dict)
    longest_gap_s: float = 0.0
    first_token_s: float | None = None
    at_once: bool | None = None


def send_requests(
    url: str, requests: Sequence[ClientRequest], credential: str, context: Context
) -> tuple[list[str], list[str], int]:
    """Send requests one after another; return (request ids, faults, streams that were read late).

    What buffers a model's streams buffers them all: of many, a few that came at once are no fault.
    Whoever reads on a busy machine comes late now and then, and finds everything there.
    """
    answers = []
    for number, request in enumerate(requests, 1):
        context.waiting(f"answer {number} of {len(requests)}", ANSWER_S)
        answers.append(exchange(url, request, credential, context.world))
    paced: dict[str, list[bool]] = {}
    for request, one in zip(requests, answers, strict=True):
        if one.at_once is not None:
            paced.setdefault(request.model, []).append(one.at_once)
    few = {model: sum(seen) for model, seen in paced.items() if 4 * sum(seen) <= len(seen)}
    faults = [
        f"{request.label}: {fault}"
        for request, one in zip(requests, answers, strict=True)
        for fault in one.faults
        if not (request.model in few and fault.endswith(AT_ONCE))
    ]
    return [one.request_id for one in answers if one.request_id], faults, sum(few.values())


def exchange(url: str, request: ClientRequest, credential: str, world: World) -> Exchange:
    """Send one request and look at its answer; whatever goes wrong is a fault of the exchange."""
    import httpx  # noqa: PLC0415  # see world.Http

    headers = [*request.headers, ("x-api-key", credential)]
    done, pace = Exchange(), _Pace(world.clock)
    try:
        with world.http.client.stream(
            "POST", f"{url}/v1/messages?beta=true", headers=headers, content=request.body
        ) as answer:
            request_id = answer.headers.get("x-gateway-request-id")
            done = Exchange(request_id, answer.status_code)
            return _looked_at(done, answer, request, pace)
    except httpx.RequestError as error:  # what the transport says, undecodable bodies included
        return replace(done, faults=(str(error) or type(error).__name__,))


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
        raise InvalidInput("--key: write env:NAME or file:PATH, never the key itself")
    if not key or not key.isascii() or not key.isprintable():
        raise InvalidInput(f"--key {reference}: nothing there that could be sent as a key")
    return key


def _looked_at(
    done: Exchange, answer: httpx.Response, request: ClientRequest, pace: _Pace
) -> Exchange:
    if answer.status_code != 200:
        answer.read()
        return replace(done, faults=(f"{answer.status_code} {answer.text[:200]}",))
    if not request.stream:
        return _message(done, answer.read(), request)
    check, faults = StreamCheck(), []
    for chunk in pace.between(answer.iter_raw()):
        check.feed(chunk)
        if check.deltas:
            pace.content_came()
        if pace.elapsed_s > ANSWER_S:
            faults.append(f"the stream did not end within {ANSWER_S:.0f} s")
            break
    faults += [*check.faults(), *_unknown_tools([name for name, _ in check.tool_calls], request)]
    return replace(
        done,
        faults=tuple(faults),
        text=check.text,
        tool_calls=tuple(check.tool_calls),
        usage=check.usage,
        longest_gap_s=pace.longest_s,
        first_token_s=pace.first_token_s,
        at_once=check.at_once,
    )


class _Pace:
    """How a stream comes, from asking on: its first content, the longest silence within it."""

    def __init__(self, clock: Clock) -> None:
        self.longest_s = self.elapsed_s = 0.0
        self.first_token_s: float | None = None
        self._clock = clock
        self._asked_s = clock.monotonic()

    def content_came(self) -> None:
        """Note the time; only the first one counts."""
        if self.first_token_s is None:
            self.first_token_s = self._clock.monotonic() - self._asked_s

    def between(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Pass the pieces on and measure."""
        began: float | None = None
        last = 0.0
        for chunk in chunks:
            now = self._clock.monotonic()
            began, before = (now, now) if began is None else (began, last)
            last, self.elapsed_s = now, now - began
            self.longest_s = max(self.longest_s, now - before)
            yield chunk


def _message(done: Exchange, body: bytes, request: ClientRequest) -> Exchange:
    try:
        row: Any = json.loads(body)  # Any: JSON
        blocks, usage = list(row["content"]), dict(row["usage"] or {})
        called = tuple(
            (str(block["name"]), json.dumps(block.get("input")))
            for block in blocks if block["type"] == "tool_use"
        )  # fmt: skip
        text = "".join(str(block["text"]) for block in blocks if block["type"] == "text")
    except (ValueError, KeyError, TypeError):
        return replace(done, faults=("the answer is no message with content and usage",))
    faults = _unknown_tools([name for name, _ in called], request)
    if row.get("type") != "message" or not blocks:
        faults.append("the answer is no message with content")
    if not {"input_tokens", "output_tokens"} <= usage.keys():
        faults.append("usage is missing")
    counted = {name: tokens for name, tokens in usage.items() if isinstance(tokens, int)}
    return replace(done, faults=tuple(faults), text=text, tool_calls=called, usage=counted)


def _unknown_tools(called: Sequence[str], request: ClientRequest) -> list[str]:
    return [f"tool call {name} was never offered" for name in called if name not in request.tools]
