"""A stand-in for a foreign gateway: reads its file at start only, no fingerprint, no audit.

    python original_cco.py start|stop|serve FOLDER

FOLDER holds model-overrides.toml, port, and what the process writes: pid, log. A file `lie` makes
it ignore the flag; a file `die` makes it die at start when overrides are on; `no-traffic-stats`
makes it count nothing.
"""

from __future__ import annotations

import http.server
import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any


class Cco:
    """What the process knows."""

    def __init__(self, folder: Path) -> None:
        document = tomllib.loads((folder / "model-overrides.toml").read_text())
        self.folder = folder
        self.enabled = document["overrides"]["enabled"] and not (folder / "lie").exists()
        self.rules = dict(reversed(document["overrides"]["rules"]))
        self.counts: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.started = time.time()

    def log(self, line: str) -> None:
        with (self.folder / "log").open("a") as file:
            print(line, file=file)

    def answer(self, path: str) -> dict[str, Any] | None:
        if path == "/health":
            return {
                "status": "ok",
                "uptime": int(time.time() - self.started),
                "overrides_enabled": self.enabled,
                "override_rules": len(self.rules),
                "cache_hits": 0,
                "cache_misses": 0,
            }
        if path == "/api/overrides/stats":
            total = sum(self.counts.values())
            rows = {
                model: {"overridden_to": self.rules[model], "count": count, "percentage": 100}
                for model, count in self.counts.items()
            }
            return {"total_overrides": total, "overrides_by_model": rows}
        if path == "/api/machine/stats":
            models = [
                {"name": name, "calls": count, "cost": 0.001 * count}
                for name, count in self.calls.items()
            ]
            return {"totalCost": 0.001 * sum(self.calls.values()), "models": models}
        return None

    def model_for(self, wanted: str) -> str:
        model: str = self.rules.get(wanted, wanted) if self.enabled else wanted
        if model != wanted and not (self.folder / "no-traffic-stats").exists():
            self.counts[wanted] += 1
        if model != wanted:
            self.log(f"🔄 Model override: {wanted} → {model}")
        self.calls[model] += 1
        return model


def serve(folder: Path) -> None:
    """Serve until SIGTERM."""
    cco = Cco(folder)
    if cco.enabled and (folder / "die").exists():
        sys.exit("thread 'main' panicked: no")

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            found = cco.answer(self.path.partition("?")[0])
            self._send(200 if found else 404, json.dumps(found or {"error": "not found"}).encode())

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            model = cco.model_for(body["model"])
            usage = {"input_tokens": 9, "output_tokens": 3}
            message: dict[str, Any] = {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "model": model,
                "content": [{"type": "text", "text": "ready"}],
                "usage": usage,
            }
            if not body.get("stream"):
                self._send(200, json.dumps(message).encode())
                return
            events: list[dict[str, Any]] = [
                {"type": "message_start", "message": {**message, "content": []}},
                {
                    "type": "content_block_start",
                    "index": 0,
                    "content_block": {"type": "text", "text": ""},
                },
                {
                    "type": "content_block_delta",
                    "index": 0,
                    "delta": {"type": "text_delta", "text": "ready"},
                },
                {"type": "content_block_stop", "index": 0},
                {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage},
                {"type": "message_stop"},
            ]
            text = "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events)
            self._send(200, text.encode(), "text/event-stream")

        def _send(self, status: int, body: bytes, kind: str = "application/json") -> None:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # the base class's word
            """Say nothing: our own log has the documented lines."""

    port = int((folder / "port").read_text())
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    (folder / "pid").write_text(str(os.getpid()))
    cco.log(f"CCO started on http://localhost:{port}")
    cco.log(f"Model overrides: {'enabled' if cco.enabled else 'disabled'}")
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    server.serve_forever()


def main() -> None:
    """Start in the background, stop, or serve in the foreground."""
    verb, folder = sys.argv[1], Path(sys.argv[2])
    if verb == "serve":
        serve(folder)
    elif verb == "start":
        subprocess.Popen([sys.executable, __file__, "serve", str(folder)], start_new_session=True,
                         stdin=subprocess.DEVNULL)  # fmt: skip
    elif (folder / "pid").exists():
        pid = int((folder / "pid").read_text())
        (folder / "pid").unlink()
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            return


if __name__ == "__main__":
    main()
