"""A soak in three worlds, and through every cut: healthy is GO, quiet is not, lying is NO-GO."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from cco_migrate.context import Context
from cco_migrate.criteria import CRITERIA
from cco_migrate.errors import NotJournaled, Undecided
from cco_migrate.judge.criterion import Bounds, Criterion
from cco_migrate.model import JsonObject, Step
from cco_migrate.soak import check as soak
from cco_migrate.soak.check import SoakThrough
from cco_migrate.soak.log import FILENAME, SoakLog
from cco_migrate.soak.probes import count
from cco_migrate.soak.terms import USES, Offer, Waiver, make_soak
from cco_migrate.verdict import Judgement, Verdict
from cco_migrate.world import Clock, Files

START = datetime(2026, 11, 21, 14, 0, tzinfo=UTC)
BAKE_S, INTERVAL_S = 300.0, 60.0
NO_OFFER = Offer()
PLANNED = "c7d2f15e8840a1b2"

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

    def serve(self, count: int, *, failed: int = 0, left: int = 0, client: str = "cli") -> None:
        """Let requests end now, all of them streams."""
        for number in range(count):
            status = 502 if number < failed else 499 if number < failed + left else 200
            self.records.append({
                "id": len(self.records) + 1, "timestamp": self.clock.now().isoformat(),
                "endpoint": "messages", "client": client, "status": status,
                "success": status == 200, "stream": True,
            })  # fmt: skip
        self.requests += count

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
            text = f"# TYPE gateway_requests_total counter\ngateway_requests_total {self.requests}"
            return 200, {}, text.encode()
        if path == "/gateway/audit" and self.audited:
            return _json({"entries": self._entries(query)})
        return 404, {}, b"{}"

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


def ordered(known: Mapping[str, Criterion], *waivers: Waiver, offer: Offer = NO_OFFER) -> Step:
    made = make_soak(BAKE_S, INTERVAL_S, "rollback", known, waivers, offer)
    return Step(12, "soak", "soak", USES, replace(made, fingerprint=PLANNED).to_json())


@pytest.fixture
def bench(serve: Serve, context_at: Callable[[str], Context]) -> Bench:
    clock, waits = SteppedClock(), list[str]()
    gateway = Gateway(clock)
    context = context_at(serve(gateway))

    def waiting(what: str, _timeout_s: float) -> None:
        waits.append(what)

    world = replace(context.world, clock=clock)
    return Bench(
        clock, gateway, replace(context, world=world, waiting=waiting), waits, ordered(criteria())
    )


@pytest.mark.parametrize("overrides", [True, False])
def test_healthy_world_reaches_go_at_the_end_of_the_bake_time(
    bench: Bench, overrides: bool
) -> None:
    """The fingerprint says what is loaded; a cutover may well run with overrides off."""
    bench.gateway.overrides = overrides
    bench.clock.every_minute = lambda _: bench.gateway.serve(10)
    judgement = bench.soak()
    assert judgement.verdict is Verdict.GO, judgement.summary
    assert bench.clock.at >= BAKE_S
    rows: Any = judgement.facts["criteria"]
    counted = {row["id"]: (row["k"], row["n"]) for row in rows}
    assert counted["error-rate"] == counted["streaming-failures"] == (0, 50)
    assert counted["availability"] == (0, 6)
    assert judgement.facts["looks"] == 6
    assert bench.log.closed is not None


def test_quiet_world_is_not_decided_and_never_go(bench: Bench) -> None:
    judgement = bench.soak()
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert judgement.summary.startswith("not decided at its deadline: error-rate: ")


def test_live_view_says_verdict_counts_and_time_to_verdict(bench: Bench) -> None:
    bench.clock.every_minute = lambda _: bench.gateway.serve(10)
    bench.soak()
    first, *lines = bench.waits[2].splitlines()
    assert first == "the bake time"
    (rate,) = [line for line in lines if "streaming-failures" in line]
    assert " ".join(rate.split()) == (
        "INCONCLUSIVE streaming-failures 0/20 23 more requests, about 2m18s"
    )
    assert any(line.startswith("GO") and "config-loaded" in line for line in lines)
    assert bench.waits[-1] == ""


LIES: Mapping[str, tuple[Callable[[Gateway], None], str]] = {
    "another configuration": (lambda g: setattr(g, "fingerprint", "0" * 16), "config-loaded"),
    "requests that fail": (lambda g: g.serve(20, failed=20), "error-rate"),
    "counters that fall": (lambda g: setattr(g, "requests", 1.0), "evidence-integrity"),
    "nobody answers": (lambda g: setattr(g, "up", False), "availability"),
}


@pytest.mark.parametrize("lie", LIES)
def test_lying_world_is_no_go_within_an_interval_of_the_proof(bench: Bench, lie: str) -> None:
    tell, criterion = LIES[lie]

    def minute(number: int) -> None:
        tell(bench.gateway) if number == 3 else bench.gateway.serve(20)

    bench.clock.every_minute = minute
    judgement = bench.soak()
    assert judgement.verdict is Verdict.NO_GO
    assert f"{criterion}: " in judgement.summary
    # Two failing looks prove that it was away; everything else is seen by the next look.
    within_s = 2 * INTERVAL_S if criterion == "availability" else INTERVAL_S
    assert bench.clock.at <= 3 * 60 + within_s + 20


def test_verdict_of_a_proved_fault_stays_whatever_comes_after(bench: Bench) -> None:
    bench.gateway.serve(20, failed=20)
    assert bench.soak().verdict is Verdict.NO_GO
    looks = bench.log.path.read_bytes()
    bench.gateway.serve(10_000)
    assert bench.soak().verdict is Verdict.NO_GO
    assert bench.log.path.read_bytes() == looks


def test_requests_of_the_toolkit_and_of_clients_that_left_are_counted_apart(bench: Bench) -> None:
    def minute(_number: int) -> None:
        bench.gateway.serve(10)
        bench.gateway.serve(10, failed=10, client="claude-cli (cco-migrate verification)")
        bench.gateway.serve(10, left=1)

    bench.clock.every_minute = minute
    judgement = bench.soak()
    assert judgement.verdict is Verdict.GO, judgement.summary
    statistics: Any = judgement.facts["statistics"]
    assert statistics["rates"]["error-rate"] | {"through": None} == {
        "k": 0, "n": 95, "aborted": 5, "through": None, "design_effect": 1.0,
    }  # fmt: skip


# Status, model that was asked for and answered, and how such a request counts: k, n, aborted.
REFUSALS: Mapping[str, tuple[int, str | None, str | None, tuple[int, int, int]]] = {
    "served": (200, "m", "m", (0, 1, 0)),
    "the client left": (499, "m", "new", (0, 0, 1)),
    "malformed, and the change left it alone": (400, "m", "m", (0, 0, 1)),
    "so malformed that it names no model": (400, None, None, (0, 0, 1)),
    "refused by the model the change chose": (400, "m", "new", (1, 1, 0)),
    "unknown to the provider the change chose": (404, "m", "new", (1, 1, 0)),
    "nowhere to send it to": (404, "m", None, (1, 1, 0)),
    "credential of the client's own": (401, "m", "new", (0, 0, 1)),
    "too many requests": (429, "m", "m", (1, 1, 0)),
    "overloaded": (529, "m", "m", (1, 1, 0)),
    "a stream that broke": (200, "m", "new", (1, 1, 0)),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_only_what_the_change_may_have_caused_counts_as_a_failure(case: str) -> None:
    status, requested, model, expected = REFUSALS[case]
    success = status == 200 and case != "a stream that broke"
    row = {"status": status, "success": success, "stream": True, "endpoint": "messages"}
    tallies = count([{**row, "requested_model": requested, "model": model}])
    for name in ("error-rate", "streaming-failures"):
        assert (tallies[name].k, tallies[name].n, tallies[name].aborted) == expected


def test_refusal_whose_record_names_no_models_counts_as_a_failure() -> None:
    row = {"status": 400, "success": False, "stream": False}
    assert count([row])["error-rate"].k == 1


def test_restart_of_the_gateway_begins_the_evidence_anew(bench: Bench) -> None:
    def minute(number: int) -> None:
        if number == 3:
            bench.gateway.boot, bench.gateway.requests = "boot-2", 0.0
        bench.gateway.serve(30)

    bench.clock.every_minute = minute
    judgement = bench.soak()
    statistics: Any = judgement.facts["statistics"]
    assert statistics["rates"]["error-rate"]["n"] == 60
    assert judgement.verdict is Verdict.GO, judgement.summary


def test_gateway_without_audit_is_not_decided_and_says_why(bench: Bench) -> None:
    bench.gateway.audited = False
    judgement = bench.soak()
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "error-rate: not measured: /gateway/audit keeps no records" in judgement.summary


def test_waived_criterion_is_observed_and_says_by_whom(bench: Bench) -> None:
    waivers = [Waiver(name, "ops@host", "no clients yet") for name in (
        "error-rate", "streaming-failures",
    )]  # fmt: skip
    bench.step = ordered(criteria(), *waivers)
    judgement = bench.soak()
    assert judgement.verdict is Verdict.GO, judgement.summary
    rows: Any = judgement.facts["criteria"]
    (row,) = [row for row in rows if row["id"] == "error-rate"]
    assert (row["verdict"], row["enforced"]) == ("INCONCLUSIVE", False)
    assert row["waived"] == "waived: error-rate, by ops@host: no clients yet"


class Killed(BaseException):
    """The process is gone."""


@pytest.mark.parametrize("minute", range(1, 5))
def test_soak_that_was_killed_goes_on_with_the_same_evidence(bench: Bench, minute: int) -> None:
    def kill(number: int) -> None:
        bench.gateway.serve(10)
        if number == minute:
            raise Killed

    bench.clock.every_minute = kill
    check = SoakThrough()
    receipt = check.prepare(bench.step, bench.context)
    with pytest.raises(Killed):
        check.measure(bench.step, receipt, bench.context)
    with bench.path.open("ab") as file:
        file.write(b'{"v":1,"prev"')  # it died in the middle of a line
    bench.clock.every_minute = lambda _: bench.gateway.serve(10)
    assert check.prepare(bench.step, bench.context) == receipt
    judgement = bench.soak()
    assert judgement.verdict is Verdict.GO, judgement.summary
    statistics: Any = judgement.facts["statistics"]
    assert statistics["rates"]["error-rate"]["n"] == 50
    window: Any = judgement.facts["window"]
    assert window["number"] == 1


def test_soak_killed_after_its_verdict_says_the_same_again(bench: Bench) -> None:
    bench.clock.every_minute = lambda _: bench.gateway.serve(10)
    before = bench.soak()
    bench.clock.at += 10_000
    assert bench.soak() == before


def test_soak_that_nobody_watched_past_its_deadline_is_not_go(bench: Bench) -> None:
    def kill(number: int) -> None:
        bench.gateway.serve(60)
        if number == 3:
            raise Killed

    bench.clock.every_minute = kill
    with pytest.raises(Killed):
        bench.soak()
    bench.clock.at += BAKE_S
    bench.clock.every_minute = lambda _: None
    receipt = SoakThrough().prepare(bench.step, bench.context)
    assert receipt["number"] == 2  # another bake time, with the evidence there is
    judgement = bench.soak()
    assert judgement.verdict is Verdict.GO, judgement.summary
    statistics: Any = judgement.facts["statistics"]
    assert statistics["rates"]["error-rate"]["n"] == 180


def test_undecided_soak_can_be_given_another_bake_time(bench: Bench) -> None:
    bench.clock.every_minute = lambda _: bench.gateway.serve(4)
    assert bench.soak().verdict is Verdict.INCONCLUSIVE
    bench.clock.every_minute = lambda _: bench.gateway.serve(6)
    judgement = bench.soak()
    assert judgement.verdict is Verdict.GO, judgement.summary
    statistics: Any = judgement.facts["statistics"]
    assert statistics["rates"]["error-rate"]["n"] == 50


def test_clock_that_is_set_back_stops_nothing(bench: Bench) -> None:
    def minute(number: int) -> None:
        bench.gateway.serve(10)
        if number == 3:
            bench.clock.set_back_s = 90

    bench.clock.every_minute = minute
    assert bench.soak().verdict in {Verdict.GO, Verdict.INCONCLUSIVE}
    assert bench.log.closed is not None


@pytest.mark.parametrize(
    "damage",
    [b"nonsense\n", b'{"v":1,"prev":"00","kind":"look","data":{}}\n', b"[]\n"],
    ids=["no JSON", "another line before", "no object"],
)
def test_evidence_that_was_changed_by_something_else_is_refused(
    bench: Bench, damage: bytes
) -> None:
    bench.clock.every_minute = lambda _: bench.gateway.serve(10)
    bench.soak()
    with bench.path.open("ab") as file:
        file.write(damage)
    with pytest.raises(Undecided, match=rf"{FILENAME}:9: not a line of this soak"):
        bench.soak()  # nothing is rolled back for it, and nothing is GO


def test_evidence_that_cannot_be_written_leaves_the_run_open(bench: Bench) -> None:
    class Full(Files):
        def append(self, path: Any, data: bytes) -> None:
            raise OSError(28, "No space left on device")

    world = replace(bench.context.world, files=Full())
    bench.context = replace(bench.context, world=world)
    with pytest.raises(NotJournaled, match=f"{FILENAME}: No space left"):
        bench.soak()


def test_own_requests_are_offered_evenly_bounded_and_counted_apart(bench: Bench) -> None:
    bench.clock.every_minute = lambda _: bench.gateway.serve(10)
    bench.step = ordered(criteria(), offer=Offer(60, ("claude-haiku-4-5",), "demo"))
    judgement = bench.soak()
    assert judgement.verdict is Verdict.GO, judgement.summary
    lines = [json.loads(line) for line in bench.path.read_text().splitlines()]
    looks = [line["data"]["tallies"] for line in lines if line["kind"] == "look"]
    assert [look["synthetic-failures"]["n"] for look in looks] == [0, 12, 12, 12, 12, 12]
    assert bench.gateway.posts == 60
    statistics: Any = judgement.facts["statistics"]
    assert statistics["rates"]["error-rate"]["n"] == 50


def test_own_requests_that_fail_are_no_go_of_their_own_criterion(bench: Bench) -> None:
    bench.clock.every_minute = lambda _: bench.gateway.serve(10)
    bench.gateway.answers = False
    bench.step = ordered(criteria(), offer=Offer(60, ("claude-haiku-4-5",), "demo"))
    judgement = bench.soak()
    assert judgement.verdict is Verdict.NO_GO
    assert judgement.summary.startswith("synthetic-failures: 12 of 12 requests")


def test_credential_that_is_gone_after_a_kill_leaves_the_soak_undecided(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CCO_TEST_KEY", raising=False)
    bench.clock.every_minute = lambda _: bench.gateway.serve(10)
    offer = Offer(60, ("claude-haiku-4-5",), "env:CCO_TEST_KEY")
    bench.step = ordered(criteria(), offer=offer)
    judgement = bench.soak()
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "synthetic-failures: not measured: --key env:CCO_TEST_KEY" in judgement.summary
    assert bench.gateway.posts == 0


def test_status_shows_where_a_soak_stands(bench: Bench) -> None:
    assert soak.standing(bench.step, bench.context.run_dir, bench.context.world) == []
    bench.clock.every_minute = lambda _: bench.gateway.serve(10)
    bench.soak()
    head, *lines = soak.standing(bench.step, bench.context.run_dir, bench.context.world)
    assert head == "soak: 6 looks, ended with GO"
    assert [line.split()[:2] for line in lines][-1] == ["GO", "streaming-failures"]
