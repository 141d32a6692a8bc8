"""Probes of a healthy, a sick and a strange gateway: they never raise, and say what is missing."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from cco_migrate.judge.gate import Unmeasured
from cco_migrate.probes.canaries import TOOL, Canary, canary, lost_piece, tool_fault
from cco_migrate.probes.counters import REQUESTS, STATISTICS, Counters, cumulative, read_counters
from cco_migrate.probes.instances import Health, look_at_health, processes, providers
from cco_migrate.probes.records import read_records
from cco_migrate.probes.site import Site
from cco_migrate.probes.streams import Sent, send_burst
from cco_migrate.world import World

Reply = tuple[int, Mapping[str, str], bytes | Sequence[bytes | None]]
Serve = Callable[[Callable[[str, str, bytes], Reply]], str]

PROBES: Mapping[str, Callable[[Site], object]] = {
    "health": look_at_health,
    "processes": processes,
    "providers": providers,
    "counters": lambda site: read_counters(site, ()),
    "records": lambda site: read_records(site, ["gw_1"]),
}
SICK: Mapping[str, Reply] = {
    "an error page": (500, {"content-type": "text/html"}, b"<h1>sorry</h1>"),
    "no JSON": (200, {}, b"hello"),
    "a list": (200, {}, b"[]"),
    "another shape": (200, {}, b'{"workers": 3, "providers": [1], "entries": 7, "summary": null}'),
    "a cut answer": (200, {}, [b'{"status', None]),
}
HEALTH = {
    "status": "ok", "uptime_seconds": 12, "config_fingerprint": "c7d2", "boot_id": "b1",
    "workers": 2,
}  # fmt: skip
EXPOSED = """\
# HELP gateway_requests_total Requests that ended.
# TYPE gateway_requests_total counter
gateway_requests_total{model="a b",status="200"} 2
gateway_requests_total{model="a b",status="500"} 1e1
# TYPE gateway_streams_active gauge
gateway_streams_active 3
# TYPE gateway_ttft_seconds histogram
gateway_ttft_seconds_bucket{le="+Inf"} 4
gateway_ttft_seconds_sum 0.25
# EOF
"""


def answering(answers: Mapping[str, object]) -> Callable[[str, str, bytes], Reply]:
    """Return a script that answers paths with JSON or text; others are not found."""

    def script(_method: str, target: str, _body: bytes) -> Reply:
        found = answers.get(target.partition("?")[0])
        if found is None:
            return 404, {}, b"{}"
        return 200, {}, found.encode() if isinstance(found, str) else json.dumps(found).encode()

    return script


@pytest.mark.parametrize("probe", PROBES)
@pytest.mark.parametrize("ill", SICK)
def test_sick_gateway_is_unmeasured_and_never_raises(
    serve: Serve, world: World, probe: str, ill: str
) -> None:
    url = serve(lambda _method, _target, _body: SICK[ill])
    found = PROBES[probe](Site(url, world))
    assert isinstance(found, Unmeasured)
    assert found.why


@pytest.mark.parametrize("probe", PROBES)
def test_silent_gateway_is_unmeasured(world: World, closed_port: int, probe: str) -> None:
    found = PROBES[probe](Site(f"http://127.0.0.1:{closed_port}", world))
    assert isinstance(found, Unmeasured)
    assert "does not answer" in found.why


def test_health_is_read_with_the_time_it_took(serve: Serve, world: World) -> None:
    found = look_at_health(Site(serve(answering({"/health": HEALTH})), world))
    assert isinstance(found, Health)
    assert (found.status, found.fingerprint, found.boot_id) == ("ok", "c7d2", "b1")
    assert (found.uptime_s, found.workers) == (12, 2)
    assert found.asked_s <= found.answered_s


def test_health_of_the_original_gateway_leaves_open_what_it_does_not_say(
    serve: Serve, world: World
) -> None:
    found = look_at_health(
        Site(serve(answering({"/health": {"status": "ok", "uptime": 3}})), world)
    )
    assert isinstance(found, Health)
    assert (found.fingerprint, found.boot_id, found.uptime_s) == (None, None, 3)


def test_workers_that_do_not_serve_are_left_out(serve: Serve, world: World) -> None:
    rows = [
        {"slot": slot, "generation": 2, "boot_id": f"b{slot}", "fingerprint": "f", "state": state}
        for slot, state in enumerate(("serving", "draining"))
    ]
    found = processes(Site(serve(answering({"/gateway/workers": {"workers": rows}})), world))
    assert not isinstance(found, Unmeasured)
    assert [one.name for one in found] == ["worker 0 of generation 2"]


def test_gauges_are_no_counters_and_labels_are_summed() -> None:
    series = cumulative(EXPOSED)
    assert "gateway_streams_active" not in series
    assert series['gateway_ttft_seconds_bucket{le="+Inf"}'] == 4
    counters = Counters(series, ("b1",), 0.0)
    assert counters.total(REQUESTS) == 12
    assert counters.total("unheard_of") is None


@pytest.mark.parametrize("text", ["gateway_requests_total", "# TYPE a counter\na one", "{} 3"])
def test_strange_exposition_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"line|could not convert"):
        cumulative(text)


@pytest.mark.parametrize(
    ("answers", "total"),
    [
        ({"/metrics": EXPOSED}, {REQUESTS: 12.0, STATISTICS: None}),
        (
            {"/gateway/metrics": {"summary": {"total_requests": 5}}},
            {REQUESTS: None, STATISTICS: 5.0},
        ),
    ],
)
def test_one_of_two_sources_of_counters_is_enough(
    serve: Serve, world: World, answers: Mapping[str, object], total: Mapping[str, float | None]
) -> None:
    found = read_counters(Site(serve(answering(answers)), world), ["b2", "b1"])
    assert isinstance(found, Counters)
    assert found.boots == ("b1", "b2")
    assert {name: found.total(name) for name in total} == total


def test_no_two_canaries_are_equal_and_every_third_wants_a_tool() -> None:
    made = [canary(number, run=run, model="m") for run in ("r1", "r2") for number in range(9)]
    assert len({one.stream.body for one in made}) == len(made)
    assert [one.wants_tool for one in made[:6]] == [False, False, True, False, False, True]
    assert all(json.loads(one.stream.body)["stream"] is True for one in made)
    assert all(json.loads(one.whole.body)["stream"] is False for one in made)
    assert "interleaved-thinking-2025-05-14" in made[0].betas


@pytest.mark.parametrize(
    ("whole", "streamed", "piece"),
    [
        ("amber birch", " birch", (0, 5)),
        ("amber birch", "amber", (5, 6)),
        ("amber birch cedar", "amber cedar", (6, 6)),
        ("amber birch", "", (0, 11)),
        ("amber birch", "amber birch", None),
        ("amber birch", "amber birch cedar", None),
        ("amber birch", "cedar", None),
    ],
)
def test_lost_piece_is_found_and_other_words_are_not_taken_for_one(
    whole: str, streamed: str, piece: tuple[int, int] | None
) -> None:
    assert lost_piece(whole, streamed) == piece


@pytest.mark.parametrize(
    ("calls", "fault"),
    [
        (((TOOL, '{"word":"amber"}'),), ""),
        ((), "did not come"),
        ((("Bash", "{}"),), "did not come"),
        (((TOOL, '"amber"}'),), "not whole"),
        (((TOOL, '{"worm":"amber"}'),), "schema"),
    ],
)
def test_tool_canary_is_right_or_named(calls: tuple[tuple[str, str], ...], fault: str) -> None:
    found = tool_fault(calls)
    assert fault in found
    assert bool(fault) == bool(found)


def streamed(text: str, tokens: int = 7) -> bytes:
    usage = {"input_tokens": 9, "output_tokens": tokens}
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text"}}
    delta = {"type": "text_delta", "text": text}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {"usage": usage}}, block,
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "usage": usage}, {"type": "message_stop"},
    ]  # fmt: skip
    return "".join(f"data: {json.dumps(event)}\n\n" for event in events).encode()


def whole(text: str, tokens: int = 7) -> bytes:
    usage = {"input_tokens": 9, "output_tokens": tokens}
    content = [{"type": "text", "text": text}]
    return json.dumps({"type": "message", "content": content, "usage": usage}).encode()


def asked(
    serve: Serve, world: World, stream: bytes, answer: bytes = b"", status: int = 200
) -> tuple[Canary, Sent]:
    def script(_method: str, _target: str, body: bytes) -> Reply:
        streams = json.loads(body)["stream"]
        kind = "text/event-stream" if streams else "application/json"
        headers = {"content-type": kind, "x-gateway-request-id": f"gw_{streams}"}
        return status, headers, stream if streams else answer

    question = canary(0, run="r", model="m")
    (sent,) = send_burst(Site(serve(script), world), (question,), "key").sent
    return question, sent


def test_model_that_obeys_is_asked_once(serve: Serve, world: World) -> None:
    words = canary(0, run="r", model="m").words
    _, sent = asked(serve, world, streamed(words))
    assert (sent.compared, sent.loss, sent.whole) == (True, "", None)
    assert sent.stream.first_token_s is not None
    assert sent.stream.first_token_s > 0
    assert sent.request_ids == ("gw_True",)


@pytest.mark.parametrize(
    ("stream", "answer", "compared", "loss"),
    [
        (streamed("Hello, world"), whole("Hello, world"), True, ""),
        (streamed("world"), whole("Hello, world"), True, "lacks 7 characters at its beginning"),
        (streamed("world", tokens=2), whole("Hello, world"), False, ""),
        (streamed("Hi"), whole("Hello, world"), False, ""),
        (streamed("Hi"), b"broken", False, ""),
    ],
)
def test_stream_is_compared_with_the_whole_answer(
    serve: Serve, world: World, stream: bytes, answer: bytes, *, compared: bool, loss: str
) -> None:
    _, sent = asked(serve, world, stream, answer)
    assert sent.compared is compared
    assert loss in sent.loss
    assert bool(loss) == bool(sent.loss)
    assert sent.request_ids == ("gw_True", "gw_False")


def test_refused_credential_is_told_apart_from_a_fault(serve: Serve, world: World) -> None:
    _, sent = asked(serve, world, b"no", status=401)
    assert sent.refused
    assert not sent.compared


def test_lost_record_is_waited_for_and_then_missing(serve: Serve, world: World) -> None:
    fields = (
        "requested_model", "model", "stream", "cost_usd", "input_tokens", "output_tokens",
        "cache_write_tokens", "cache_read_tokens",
    )  # fmt: skip
    row = {"request_id": "gw_1", **dict.fromkeys(fields, 0)}
    url = serve(answering({"/gateway/audit": {"entries": [row, row], "total": 2}}))
    found = read_records(Site(url, world), ["gw_1"])
    assert not isinstance(found, Unmeasured)
    assert [one["request_id"] for one in found] == ["gw_1", "gw_1"]


def test_burst_does_not_wait_for_its_own_answers(world: World, serve: Serve) -> None:
    together = threading.Barrier(3, timeout=30)

    def script(_method: str, _target: str, _body: bytes) -> Reply:
        together.wait()  # breaks unless all three are asked before one is answered
        return 529, {}, b"{}"

    canaries = tuple(canary(number, run="r", model="m") for number in range(3))
    burst = send_burst(Site(serve(script), world), canaries, "key")
    assert [one.stream.status for one in burst.sent] == [529, 529, 529]
    assert [one.canary for one in burst.sent] == list(canaries)
    assert not burst.whole
