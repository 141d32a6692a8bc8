"""A gateway that is quick to start: one process, one worker, a PID file, and no provider.

    python light_gateway.py --home HOME --config-dir DIRECTORY --host HOST --port PORT

It reads its configuration at start and again at SIGHUP, and tells the fingerprint of what it read.
Its PID file says, as the bundled one's does, where the switches of daemon-config.json send clients;
the old proxy is a port that accepts connections and answers nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import threading
import tomllib
from collections import Counter
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import BaseRequestHandler, TCPServer
from typing import Any

FILES = {
    "overrides": "model-overrides.toml",
    "daemon": "daemon-config.json",
    "orchestra": "orchestra-config.json",
    "llm-router": "llm-router-config.json",
    "gateway": "gateway.toml",
}
SIGNALS = {signal.SIGHUP, signal.SIGTERM}
USAGE = {"input_tokens": 9, "output_tokens": 3}


class Gateway:
    """What the process knows."""

    def __init__(self, home: Path, directory: Path) -> None:
        self.home, self.directory, self.generation = home, directory, 0
        self.started_at = datetime.now(UTC).isoformat()
        self.proxy: TCPServer | None = None
        self.overridden: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.load()

    def load(self) -> None:
        """Read the files; the answers change only when all of them were read."""
        total = hashlib.sha256()
        for name, filename in FILES.items():
            path = self.directory / filename
            digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "-"
            total.update(f"{name}\0{digest}\n".encode())
        overrides = tomllib.loads((self.directory / FILES["overrides"]).read_text())["overrides"]
        switches = self._switches()
        self.leads: bool = switches.get("gatewayEnabled", True)
        self.enabled: bool = overrides["enabled"] and self.leads
        self.rules: dict[str, str] = dict(reversed(overrides["rules"]))
        self._serve_proxy(switches.get("proxyEnabled", False))
        self.fingerprint = total.hexdigest()[:16]
        self.generation += 1

    def tell(self, port: int) -> None:
        """Write the PID file: who serves, and where clients are sent."""
        record = {
            "pid": os.getpid(), "started_at": self.started_at, "version": "0", "port": port,
            "gateway_port": port if self.leads else None,
            "proxy_port": self.proxy.server_address[1] if self.proxy else None,
        }  # fmt: skip
        fresh = self.home / f".daemon.{os.getpid()}"
        fresh.write_text(json.dumps(record))
        fresh.rename(self.home / "daemon.pid")

    def _switches(self) -> dict[str, bool]:
        path = self.directory / FILES["daemon"]
        found: dict[str, bool] = json.loads(path.read_bytes()) if path.exists() else {}
        return found

    def _serve_proxy(self, wanted: bool) -> None:
        if wanted and self.proxy is None:
            self.proxy = TCPServer(("127.0.0.1", 0), BaseRequestHandler)
            threading.Thread(target=self.proxy.serve_forever, args=(0.05,), daemon=True).start()
        elif not wanted and self.proxy is not None:
            self.proxy.shutdown()
            self.proxy.server_close()
            self.proxy = None

    def answer(self, path: str) -> dict[str, Any] | None:
        """Return the JSON answer of a GET; None for an unknown path."""
        if path == "/health":
            return {
                "status": "ok", "overrides_enabled": self.enabled,
                "override_rules": len(self.rules), "config_fingerprint": self.fingerprint,
            }  # fmt: skip
        if path == "/ready":
            return {"ready": True}
        if path == "/gateway/workers":
            worker = {
                "slot": 0, "generation": self.generation, "boot_id": str(os.getpid()),
                "fingerprint": self.fingerprint, "state": "serving",
            }  # fmt: skip
            return {"workers": [worker], "reload": {"finished_at": str(self.generation)}}
        if path == "/api/overrides/stats":
            rows = {
                model: {"overridden_to": self.rules[model], "count": count}
                for model, count in self.overridden.items()
            }
            return {"total_overrides": self.overridden.total(), "overrides_by_model": rows}
        if path == "/api/machine/stats":
            rows_of = [{"name": n, "calls": c, "cost": 0.001 * c} for n, c in self.calls.items()]
            return {"models": rows_of}
        return None

    def message(self, wanted: str) -> dict[str, Any]:
        """Count a request and return its answer."""
        model = self.rules.get(wanted, wanted) if self.enabled else wanted
        if model != wanted:
            self.overridden[wanted] += 1
        self.calls[model] += 1
        return {
            "id": "msg_1", "type": "message", "role": "assistant", "model": model,
            "content": [{"type": "text", "text": "ready"}], "usage": USAGE,
        }  # fmt: skip


def as_stream(message: dict[str, Any]) -> bytes:
    """Return a message as server-sent events."""
    delta = {"type": "text_delta", "text": "ready"}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**message, "content": []}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": USAGE},
        {"type": "message_stop"},
    ]
    return "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events).encode()


def handler_of(gateway: Gateway) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # one segment an answer: no delayed acknowledgement is waited for

        def do_GET(self) -> None:
            found = gateway.answer(self.path.partition("?")[0])
            self._send(200 if found else 404, json.dumps(found or {"error": "?"}).encode())

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            message = gateway.message(body["model"])
            if body.get("stream"):
                self._send(200, as_stream(message), "text/event-stream")
            else:
                self._send(200, json.dumps(message).encode())

        def _send(self, status: int, body: bytes, kind: str = "application/json") -> None:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    return Handler


def run(home: Path, directory: Path, host: str, port: int) -> None:
    """Serve until SIGTERM; the PID file is written once the port is ours."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # in every thread: none may be lost
    gateway = Gateway(home, directory)
    server = ThreadingHTTPServer((host, port), handler_of(gateway))
    server.daemon_threads = True
    gateway.tell(server.server_port)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    while signal.sigwait(SIGNALS) == signal.SIGHUP:
        gateway.load()
        gateway.tell(server.server_port)


def main() -> None:
    given = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=True))
    home, directory = Path(given["--home"]), Path(given["--config-dir"])
    run(home, directory, given["--host"], int(given["--port"]))


if __name__ == "__main__":
    main()
