"""A gateway, a clock and a bench for soaks; what the tests beside it share."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cco_migrate.context import Context
from cco_migrate.criteria import CRITERIA
from cco_migrate.judge.criterion import Bounds, Criterion
from cco_migrate.model import JsonObject, Step
from cco_migrate.soak.check import SoakThrough
from cco_migrate.soak.log import FILENAME, SoakLog
from cco_migrate.soak.terms import USES, Offer, Waiver, make_soak
from cco_migrate.verdict import Judgement
from cco_migrate.world import Clock

START = datetime(2026, 11, 21, 14, 0, tzinfo=UTC)
BAKE_S, INTERVAL_S = 300.0, 60.0
NO_OFFER = Offer()
PLANNED = "c7d2f15e8840a1b2"
TOKENS = {
    "input_tokens": 1000, "output_tokens": 100, "cache_write_tokens": 0, "cache_read_tokens": 0,
}  # fmt: skip
COST_USD = 0.0015  # of these tokens, at 1 and 5 USD per million

Serve = Callable[..., str]
Reply = tuple[int, Mapping[str, str], bytes]


class SteppedClock(Clock):
    """Moves only when somebody waits; on each minute the test may do something."""

    def __init__(self) -> None:
        self.at, self.set_back_s = 0.0, 0.0
        self.every_minute: Callable[[int], None] = lambda _: None

    def now(self) -> datetime:
        return START + timedelta(seconds=self.at - self.set_back_s)

    def monotonic(self) -> float:
        return self.at

    def pause(self, seconds: float) -> None:
        before, self.at = self.at, self.at + (20 if seconds else 0)  # big steps: nobody waits
        for minute in range(int(before // 60) + 1, int(self.at // 60) + 1):
            self.every_minute(minute)


def _event(name: str, **data: object) -> bytes:
    return f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n".encode()


USAGE = {"input_tokens": 9, "output_tokens": 1}
BLOCK = {"type": "text", "text": "ready"}
WHOLE = json.dumps({"type": "message", "content": [BLOCK], "usage": USAGE}).encode()
STREAM = b"".join((
    _event("message_start", message={"usage": USAGE}),
    _event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
    _event("content_block_delta", index=0, delta={"type": "text_delta", "text": "ready"}),
    _event("content_block_stop", index=0),
    _event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 1}),
    _event("message_stop"),
))  # fmt: skip


@dataclass
class Gateway:
    """A gateway that says what the test wants."""

    clock: SteppedClock
    fingerprint: str = PLANNED
    boot: str = "boot-1"
    up: bool = True
    audited: bool = True
    records: list[dict[str, Any]] = field(default_factory=list)
    requests: float = 0.0
    posts: int = 0
    answers: bool = True
    overrides: bool = True
    overhead_s: float = 0.01
    overhead: float = 0.0
    cost_usd: float | None = COST_USD
    numbers: Counter[str] = field(default_factory=Counter)

    def serve(self, count: int, *, failed: int = 0, left: int = 0, client: str = "cli") -> None:
        """Let requests end now, all of them streams."""
        for number in range(count):
            status = 502 if number < failed else 499 if number < failed + left else 200
            self.numbers[self.boot] += 1
            self.records.append({
                "id": len(self.records) + 1, "timestamp": self.clock.now().isoformat(),
                "endpoint": "messages", "client": client, "status": status,
                "success": status == 200, "stream": True,
                "request_id": f"gw_{len(self.records)}", "model": "claude-haiku-4-5",
                "boot_id": self.boot, "seq": self.numbers[self.boot], "terms": [], "cache": None,
                "cost_usd": self.cost_usd, **TOKENS,
            })  # fmt: skip
        self.requests += count
        self.overhead += count * self.overhead_s

    def __call__(self, method: str, target: str, body: bytes) -> Reply:
        path, query = urlsplit(target).path, parse_qs(urlsplit(target).query)
        if not self.up:
            return 503, {}, b'{"status": "unavailable"}'
        if method == "POST":
            self.posts += 1
            answer = STREAM if json.loads(body)["stream"] else WHOLE
            return (200, {}, answer) if self.answers else (529, {}, b"{}")
        if path == "/health":
            return _json({"status": "ok", "overrides_enabled": self.overrides, "override_rules": 1,
                          "config_fingerprint": self.fingerprint})  # fmt: skip
        if path == "/gateway/workers":
            worker = {"slot": 0, "generation": 1, "boot_id": self.boot, "state": "serving",
                      "fingerprint": self.fingerprint}  # fmt: skip
            return _json({"workers": [worker]})
        if path == "/metrics":
            return 200, {}, self._counted().encode()
        if path == "/gateway/audit" and self.audited:
            return _json({"entries": self._entries(query)})
        return 404, {}, b"{}"

    def _counted(self) -> str:
        return "\n".join((
            "# TYPE gateway_requests_total counter",
            f"gateway_requests_total {self.requests}",
            "# TYPE gateway_overhead_seconds histogram",
            f"gateway_overhead_seconds_sum {self.overhead}",
            f"gateway_overhead_seconds_count {self.requests}",
        ))  # fmt: skip

    def _entries(self, query: Mapping[str, list[str]]) -> list[dict[str, Any]]:
        since = datetime.fromisoformat(query["start_time"][0])
        wanted = [r for r in self.records if datetime.fromisoformat(r["timestamp"]) >= since]
        begin, limit = int(query["offset"][0]), int(query["limit"][0])
        return wanted[::-1][begin : begin + limit]


@dataclass
class Bench:
    """A soak against such a gateway, in a directory that outlives its process."""

    clock: SteppedClock
    gateway: Gateway
    context: Context
    waits: list[str]
    step: Step

    def soak(self) -> Judgement:
        """Carry the check out as the engine does."""
        check = SoakThrough()
        receipt = check.prepare(self.step, self.context)
        return check.judge(self.step, self.measured(receipt))

    def measured(self, receipt: JsonObject) -> JsonObject:
        facts = SoakThrough().measure(self.step, receipt, self.context)
        stored: JsonObject = json.loads(json.dumps(facts))  # as the journal keeps it
        return stored

    @property
    def path(self) -> Any:
        return self.context.run_dir / FILENAME

    @property
    def log(self) -> SoakLog:
        return SoakLog(self.context.run_dir, self.context.world.files)


def _json(row: object) -> Reply:
    return 200, {"content-type": "application/json"}, json.dumps(row).encode()


def criteria(**changed: Criterion) -> Mapping[str, Criterion]:
    """The table, with rates that a short soak can decide."""
    away = replace(CRITERIA["availability"], minimum_samples=5)
    errors = replace(CRITERIA["error-rate"], bounds=Bounds(0.10, 0.10))
    return {**CRITERIA, "availability": away, "error-rate": errors, **changed}


def ordered(
    known: Mapping[str, Criterion],
    *waivers: Waiver,
    offer: Offer = NO_OFFER,
    bake_s: float = BAKE_S,
) -> Step:
    made = make_soak(bake_s, INTERVAL_S, "rollback", known, waivers, offer)
    return Step(12, "soak", "soak", USES, replace(made, fingerprint=PLANNED).to_json())
