"""The embedded demo upstream: a loopback process that answers like the Anthropic Messages API."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import re
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, unquote
from uuid import uuid4

import msgspec
import psutil

from gateway.demo.answer import Answer, answer, as_events, as_json
from gateway.demo.request import Prompt, parse
from gateway.demo.usage import PromptCache
from gateway.errors import RequestError
from gateway.model_ids import undated
from gateway.resources import prices
from gateway.serve import state_file
from gateway.serve.http_server import HttpServer, Limits
from gateway.wire.answers import error_body
from gateway.wire.http import Header, Request, Responder

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
DRAIN_S = 2.0
MAX_PAGE = 1000
SSE_HEADERS: tuple[Header, ...] = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code: 1 when the port cannot be had."""
    parser = argparse.ArgumentParser(prog="python -m gateway.demo.upstream", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 = any free port (default)")
    parser.add_argument("--ready-file", type=Path, help="written when the port is listening")
    parser.add_argument("--delay-ms", type=float, default=5.0, help="pause before each delta (5)")
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    upstream = DemoUpstream(known_models(), options.delay_ms / 1000)
    try:
        asyncio.run(_serve(upstream, options.port, options.ready_file))
    except OSError as error:
        print(f"demo upstream: cannot serve on {HOST}:{options.port}: {error}", file=sys.stderr)
        return 1
    return 0


def known_models() -> tuple[str, ...]:
    """Return Claude's ids of the price table, in its order: the models the demo knows."""
    return tuple(model for model in prices()["models"] if model.startswith("claude-"))


@dataclass(frozen=True, slots=True)
class Call:
    """One request on its way to an answer: what every handler of a route is given."""

    request: Request
    responder: Responder
    request_id: str

    def reply(self, status: int, body: bytes) -> None:
        """Answer with JSON."""
        self.responder.reply(status, body, headers=self.headers)

    @property
    def headers(self) -> tuple[Header, ...]:
        """What every answer carries."""
        return ((b"request-id", self.request_id.encode()),)


class DemoUpstream:
    """Answers requests; everything but its prompt cache is read-only."""

    def __init__(self, models: Sequence[str], delay_s: float) -> None:
        self._models = tuple(models)
        self._delay_s = delay_s
        self._cache = PromptCache()

    async def handle(self, request: Request, responder: Responder) -> None:
        """Answer one request; a `Handler`."""
        call = Call(request, responder, f"req_demo{uuid4().hex[:20]}")
        try:
            await self._route(call)
        except RequestError as error:
            call.reply(error.status, error_body(error.kind, str(error), call.request_id))

    async def _route(self, call: Call) -> None:
        method, path = call.request.method, call.request.path
        if (method, path) == (b"POST", b"/v1/messages"):
            _authenticate(call.request)
            await self._messages(call)
        elif (method, path) == (b"POST", b"/v1/messages/count_tokens"):
            _authenticate(call.request)
            prompt = self._prompt(call.request.body, counting=True)
            tokens = sum(block.tokens for block in prompt.blocks)
            call.reply(200, msgspec.json.encode({"input_tokens": tokens}))
        elif method == b"GET" and path == b"/v1/models":
            _authenticate(call.request)
            call.reply(200, msgspec.json.encode(self._page(call.request.query)))
        elif method == b"GET" and path.startswith(b"/v1/models/"):
            _authenticate(call.request)
            model = unquote(path.removeprefix(b"/v1/models/").decode("ascii", "replace"))
            call.reply(200, msgspec.json.encode(_model(self._known(model))))
        else:
            raise RequestError(404, "not_found_error", "Not found")

    async def _messages(self, call: Call) -> None:
        prompt = self._prompt(call.request.body, counting=False)
        usage = self._cache.bill(prompt.model, prompt.blocks, time.monotonic())
        reply = answer(prompt, usage, f"msg_demo{uuid4().hex[:20]}")
        if prompt.stream:
            await self._stream(call, reply)
        else:
            call.reply(200, as_json(reply))

    async def _stream(self, call: Call, reply: Answer) -> None:
        call.responder.start(200, SSE_HEADERS + call.headers)
        for event in as_events(reply):
            if self._delay_s > 0 and event.startswith(b"event: content_block_delta"):
                # The pace of a model, so that a viewer can see that answers are streamed.
                await asyncio.sleep(self._delay_s)
            call.responder.write(event)
        call.responder.end()

    def _prompt(self, body: bytes, *, counting: bool) -> Prompt:
        prompt = parse(body, counting=counting)
        self._known(prompt.model)
        return prompt

    def _known(self, model: str) -> str:
        """Return the model's id if it, or it without its date, is in the price table."""
        if model in self._models or undated(model) in self._models:
            return model
        raise RequestError(404, "not_found_error", f"model: {model}")

    def _page(self, query: bytes) -> dict[str, object]:
        """Return a page of the model list; `limit` and `after_id` as the provider has them."""
        asked = parse_qs(query.decode("ascii", "replace"))
        limit = asked.get("limit", ["20"])[-1]
        if not re.fullmatch(r"[0-9]{1,4}", limit) or not 1 <= int(limit) <= MAX_PAGE:
            raise RequestError(
                400, "invalid_request_error", f"limit: Input should be between 1 and {MAX_PAGE}"
            )
        after = asked.get("after_id", [""])[-1]
        start = self._models.index(after) + 1 if after in self._models else 0
        page = self._models[start : start + int(limit)]
        return {
            "data": [_model(model) for model in page],
            "first_id": page[0] if page else None,
            "last_id": page[-1] if page else None,
            "has_more": start + len(page) < len(self._models),
        }


async def _serve(upstream: DemoUpstream, port: int, ready_file: Path | None) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    server = HttpServer(upstream.handle, Limits())
    listener = await loop.create_server(server.protocol, HOST, port)
    bound = listener.sockets[0].getsockname()[1]
    if ready_file is not None:
        state_file.write(ready_file, _ready(bound))
    log.info("event=demo_upstream_listening url=http://%s:%d", HOST, bound)
    await stop.wait()
    listener.close()
    whole = await server.drain(linger_s=0, timeout_s=DRAIN_S)
    log.info("event=demo_upstream_stopped cut=%s", not whole)


def _ready(port: int) -> Mapping[str, object]:
    """Return what the ready file says: who listens, and where."""
    started = datetime.fromtimestamp(psutil.Process().create_time(), UTC)
    return {
        "pid": os.getpid(),
        "port": port,
        "started_at": started.isoformat().replace("+00:00", "Z"),
    }


def _authenticate(request: Request) -> None:
    """Accept any credential: the demo only insists that there is one, as the provider does."""
    if not (request.header(b"x-api-key") or request.header(b"authorization")):
        raise RequestError(401, "authentication_error", "x-api-key header is required")


def _model(model: str) -> dict[str, object]:
    """Return a model's entry; the release date is what its id says, else the epoch."""
    date = re.search(r"-(\d{4})(\d{2})(\d{2})$", model)
    day = "-".join(date.groups()) if date else "1970-01-01"
    return {
        "type": "model",
        "id": model,
        "display_name": f"{model} (demo)",
        "created_at": f"{day}T00:00:00Z",
    }


if __name__ == "__main__":
    sys.exit(main())
