"""What a running gateway says a request costs, by its files and by the provider's usage."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.gateway.process import DEADLINE_S, end, port_of, until

pytestmark = pytest.mark.process

OPUS, SONNET, HAIKU = "claude-opus-5-5", "claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001"
Usage = Mapping[str, Any]  # Any: a JSON document
ASKED = {"max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}


class Upstream(BaseHTTPRequestHandler):
    """Answers every message with the usage that stands in its system prompt."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        answer = {"id": "m", "type": "message", "role": "assistant", "content": []}
        data = json.dumps({**answer, "model": body["model"], "usage": json.loads(body["system"])})
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data.encode())))
        self.end_headers()
        self.wfile.write(data.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Stay quiet."""


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Upstream) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@dataclass(slots=True)
class Gateway:
    """A gateway process of this test.

    Attributes:
        log: All of its log, once it has ended.
    """

    home: Path
    log: str = ""
    client: httpx.Client = field(
        default_factory=lambda: httpx.Client(trust_env=False, timeout=DEADLINE_S)
    )

    def cost(self, model: str, usage: Usage) -> Decimal | None:
        """Ask once; return the cost header, which is None when there is none."""
        record = json.loads((self.home / "daemon.pid").read_text())
        self.client.base_url = httpx.URL(f"http://127.0.0.1:{record['gateway_port']}")
        body = {**ASKED, "model": model, "system": json.dumps(usage)}
        answer = self.client.post("/v1/messages", json=body, headers={"x-api-key": "k"})
        assert answer.status_code == 200
        said = answer.headers.get("x-gateway-cost-usd")
        return None if said is None else Decimal(said)

    def get(self, path: str) -> Any:  # Any: a JSON document
        return json.loads(self.client.get(path).content, parse_float=Decimal)

    def audit(self, records: int) -> list[Any]:  # Any: a JSON document
        """Return the audit records, once there are so many, in their order."""

        def recorded() -> Any:  # Any: a JSON document, or None
            entries = self.get("/gateway/audit")["entries"]
            return entries if len(entries) >= records else None

        return list(reversed(until(recorded)))


@contextmanager
def gateway(home: Path, upstream: str, costs: str = "{}", overrides: str = "") -> Iterator[Gateway]:
    """Run a gateway until it serves; stop it at the end."""
    provider = json.dumps({"anthropic": {"providerType": "anthropic", "baseUrl": upstream}})
    (home / "config").mkdir(parents=True)
    (home / "config" / "orchestra-config.json").write_text(
        f'{{"llmGateway": {{"providers": {provider}, "costTracking": {costs}}}}}'
    )
    (home / "config" / "model-overrides.toml").write_text(overrides)
    (home / "config" / "gateway.toml").write_text("[server]\nlinger_s = 0.1\n")
    argv = [sys.executable, "-m", "gateway", "run", "--port", "0", "--workers", "1"]
    with (home / "log").open("wb") as log:
        environ = {**os.environ, "CCO_HOME": str(home)}
        process = subprocess.Popen(argv, stderr=log, env=environ)
    started = Gateway(home)
    try:
        port_of(home, process)
        with started.client:
            yield started
    finally:
        end(process)
        started.log = (home / "log").read_text()


def test_each_shape_of_usage_costs_what_it_should(tmp_path: Path, upstream: str) -> None:
    plain = {"input_tokens": 1000, "output_tokens": 500}
    house = '"house": {"inputPerMillion": 0.1, "outputPerMillion": 0.2}'
    costs = f'{{"pricingOverrides": {{{house}, "{HAIKU}": {{"inputPerMillion": 0.7}}}}}}'
    hour = {"cache_creation_input_tokens": 10, "cache_creation": {"ephemeral_1h_input_tokens": 10}}
    step = {"type": "message", **plain, "cache_creation_input_tokens": 0}
    steps = [
        {**step, "cache_read_input_tokens": 0, "type": kind} for kind in ("compaction", "message")
    ]
    cases = (
        (SONNET, plain, "0.0105"),
        (SONNET, {**plain, "service_tier": "standard", "inference_geo": "not_available"}, "0.0105"),
        (SONNET, {**plain, **hour}, "0.01056"),
        (SONNET, {**plain, "input_tokens": 200_001}, "1.211256"),
        (SONNET, {**plain, "service_tier": "priority"}, None),
        (OPUS, plain, "0.014"),
        (OPUS, {**plain, "speed": "fast"}, "0.028"),
        (OPUS, {**plain, "inference_geo": "us"}, "0.0154"),
        (OPUS, {**plain, "server_tool_use": {"web_search_requests": 2}}, "0.034"),
        (OPUS, {**plain, "iterations": steps}, "0.028"),
        (HAIKU, plain, "0.0032"),
        ("house", {"input_tokens": 1, "output_tokens": 1}, "0.0000003"),
        ("nobody", plain, None),
    )
    with gateway(tmp_path, upstream, costs) as running:
        for model, usage, cost in cases:
            found = running.cost(model, usage)
            assert found == (None if cost is None else Decimal(cost)), (model, usage)
        recorded = [entry["cost_usd"] for entry in running.audit(len(cases))]
        assert recorded == [None if cost is None else Decimal(cost) for *_, cost in cases]


def test_costs_that_are_switched_off_are_null_everywhere(tmp_path: Path, upstream: str) -> None:
    overrides = f'[overrides]\nrules = [["{SONNET}", "{HAIKU}"]]\n'
    overrides += '[analytics]\nreport_format = "silent"\n'
    with gateway(tmp_path, upstream, '{"enabled": false}', overrides) as running:
        assert running.cost(SONNET, {"input_tokens": 1000, "output_tokens": 500}) is None
        (entry,) = running.audit(1)
        assert (entry["cost_usd"], entry["input_tokens"]) == (None, 1000)
        (saved,) = running.get("/api/overrides/stats")["overrides_by_model"].values()
        assert (saved["count"], saved["cost_saved_usd"]) == (1, None)
    assert "WARNING configuration" in running.log
    assert "costTracking.enabled: is false, so no request has a cost (null)" in running.log
    assert "Override report" not in running.log


def test_overrides_are_reported_at_the_end(tmp_path: Path, upstream: str) -> None:
    overrides = f'[overrides]\nrules = [["{SONNET}", "{HAIKU}"]]\n[analytics]\n'
    with gateway(tmp_path, upstream, overrides=f'{overrides}report_format = "text"\n') as running:
        running.cost(SONNET, {"input_tokens": 1000, "output_tokens": 500})
    (line,) = (line for line in running.log.splitlines() if "Override report: " in line)
    assert f"1 of 1 requests went to another model; {SONNET} → {HAIKU} 1, saved $0.01" in line
