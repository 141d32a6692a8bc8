"""A gateway that lies: stands before an honest one and changes what it says.

    python lying_gateway.py UPSTREAM_URL LIE...

Prints a port for each lie, then serves until it is killed. Each port tells its one lie.
"""

from __future__ import annotations

import http.client
import http.server
import json
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

Json = dict[str, Any]  # Any: JSON
SLOW_S = 0.3
_USAGE = re.compile(rb'"(\w+_tokens)":\d+')
_SAMPLE = re.compile(r"^([a-z][^\s#]*) \S+$", re.MULTILINE)


class Liar:
    """What is said on one port; without a lie, what the honest one says."""

    def __init__(self, lie: str) -> None:
        self.lie, self.calls = lie, Counter[str]()
        self.first: dict[str, bytes] = {}
        self._turn = threading.Lock()

    def request(self, headers: dict[str, str], body: bytes) -> bytes:
        """Change a request on its way in."""
        if self.lie == "one-at-a-time" and body:
            with self._turn:
                time.sleep(SLOW_S)
        if self.lie == "slow" and body and json.loads(body)["stream"]:
            time.sleep(SLOW_S)
        if self.lie == "betas-dropped":
            headers.pop("anthropic-beta", None)
        if self.lie == "tools-dropped" and body:
            row = json.loads(body)
            row.pop("tools", None)
            row.pop("tool_choice", None)
            return json.dumps(row).encode()
        return body

    def answer(self, path: str, body: bytes) -> bytes:
        """Change a whole answer."""
        self.calls[path] += 1
        change = ANSWERS.get((self.lie, path))
        return change(self, body) if change else body

    def events(self, events: Iterator[bytes]) -> Iterator[bytes]:
        """Change a stream, event by event."""
        deltas = 0
        for event in events:
            deltas += b"event: content_block_delta" in event
            if self.lie == "first-delta-dropped" and deltas == 1 and b"block_delta" in event:
                continue
            if self.lie == "stream-cut" and b"message_stop" in event:
                return
            yield _USAGE.sub(rb'"\1":0', event) if self.lie == "usage-zeroed" else event


def _config_not_loaded(_liar: Liar, body: bytes) -> bytes:
    row: Json = json.loads(body)
    for worker in row["workers"]:
        worker["fingerprint"] = "0ld0ld0ld0ld0ld0"
    return json.dumps(row).encode()


def _stale_worker(_liar: Liar, body: bytes) -> bytes:
    row: Json = json.loads(body)
    stale = {**row["workers"][0], "slot": 7, "boot_id": "b7", "fingerprint": "0ld0ld0ld0ld0ld0"}
    return json.dumps({**row, "workers": [*row["workers"], stale]}).encode()


def _lost_and_doubled(_liar: Liar, body: bytes) -> bytes:
    row: Json = json.loads(body)
    entries = row["entries"]
    return json.dumps({**row, "entries": [*entries[:-3], *entries[:3]]}).encode()


def _dropped(_liar: Liar, body: bytes) -> bytes:
    """Leave one record out, of requests that all ended seven hours ago."""
    row: Json = json.loads(body)
    old = [{**one, "timestamp": _long_before(one["timestamp"])} for one in row["entries"]]
    return json.dumps({**row, "entries": [*old[:1], *old[2:]]}).encode()


def _long_before(text: str) -> str:
    return (datetime.fromisoformat(text) - timedelta(hours=7)).isoformat()


def _unbilled(_liar: Liar, body: bytes) -> bytes:
    row: Json = json.loads(body)
    free = [{**entry, "input_tokens": 0, "cost_usd": 0.0} for entry in row["entries"]]
    return json.dumps({**row, "entries": free}).encode()


def _reset(liar: Liar, body: bytes) -> bytes:
    return _SAMPLE.sub(r"\1 0", body.decode()).encode() if liar.calls["/metrics"] > 2 else body


def _more(counted: str) -> Callable[[Liar, bytes], bytes]:
    """Count a thousand more of something at every look, as if others met it."""

    def more(liar: Liar, body: bytes) -> bytes:
        return b"%s\n%s %d\n" % (body.rstrip(), counted.encode(), 1000 * liar.calls["/metrics"])

    return more


def _cached(liar: Liar, body: bytes) -> bytes:
    return liar.first.setdefault("/health", body)


def _down(_liar: Liar, body: bytes) -> bytes:
    return body.replace(b'"anthropic":true', b'"anthropic":false')


ANSWERS: dict[tuple[str, str], Callable[[Liar, bytes], bytes]] = {
    ("config-not-loaded", "/gateway/workers"): _config_not_loaded,
    ("stale-worker", "/gateway/workers"): _stale_worker,
    ("records-lost-and-doubled", "/gateway/audit"): _lost_and_doubled,
    ("usage-unbilled", "/gateway/audit"): _unbilled,
    ("record-dropped", "/gateway/audit"): _dropped,
    ("counters-reset", "/metrics"): _reset,
    ("health-cached", "/health"): _cached,
    ("streams-of-others-break", "/metrics"): _more(
        'gateway_streams_broken_total{cause="provider",of="others"}'
    ),
    ("requests-of-others-fail", "/metrics"): _more(
        'gateway_requests_total{status="500",stream="false",of="others"}'
    ),
    ("provider-down", "/gateway/health"): _down,
}


def handler_of(upstream: str, liar: Liar) -> type[http.server.BaseHTTPRequestHandler]:
    """Return a handler that passes on what the honest gateway says."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._pass_on(b"")

        def do_POST(self) -> None:
            self._pass_on(self.rfile.read(int(self.headers["content-length"])))

        def _pass_on(self, body: bytes) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            headers["connection"] = "close"
            body = liar.request(headers, body)
            headers |= {"content-length": str(len(body))} if body else {}
            headers["host"] = upstream
            honest = http.client.HTTPConnection(upstream, timeout=30)
            honest.request(self.command, self.path, body or None, headers)
            answer = honest.getresponse()
            self.send_response(answer.status)
            self.close_connection = True
            for name in ("content-type", "x-gateway-request-id"):
                if value := answer.headers.get(name):
                    self.send_header(name, value)
            self.send_header("connection", "close")
            if "event-stream" in answer.headers.get("content-type", ""):
                self.end_headers()
                for event in liar.events(_events(answer)):
                    self.wfile.write(event)
                    self.wfile.flush()
            else:
                data = liar.answer(self.path.partition("?")[0], answer.read())
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
            honest.close()

        def log_message(self, format: str, *args: object) -> None:  # the base class's word
            """Say nothing."""

    return Handler


def _events(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    event = b""
    while line := answer.readline():
        event += line
        if line == b"\n":
            yield event
            event = b""


def main() -> None:
    """Serve every lie on a free port and print them in order."""
    upstream, *lies = sys.argv[1:]
    threads = []
    for lie in lies:
        handler = handler_of(urlsplit(upstream).netloc, Liar(lie))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        print(server.server_address[1], flush=True)
        threads.append(threading.Thread(target=server.serve_forever))
        threads[-1].start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
