"""What each request adds to the metrics, and what they show before the first one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.metrics import meters
from gateway.metrics.counters import Counters
from gateway.metrics.exposition import render
from gateway.metrics.meters import Known, Metrics
from gateway.metrics.report import Facts
from gateway.store.records import AuditRecord, Endpoint
from gateway.wire.usage import Usage

KNOWN = Known(("p", "q"), ("a", "b"), (("a", "b"), ("c", "d"), ("a", "z")))


@pytest.fixture(scope="module")
def record(record: AuditRecord) -> AuditRecord:
    """Return a stream of two seconds that read most of its prompt from the cache."""
    usage = Usage(10, 20, 1, 2, 30)
    return replace(record, latency_us=2_000_000, ttft_us=600_000, usage=usage, cost_pico=3)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Metrics, Metrics]]:
    """Two workers of one supervisor."""
    workers = tuple(Metrics(Counters(tmp_path, "7", name), KNOWN) for name in ("one", "two"))
    yield workers[0], workers[1]
    for worker in workers:
        worker.close()


def lines(metrics: Metrics, *live: str) -> dict[str, str]:
    text = render(metrics.read(Facts("f" * 16, True, live)), openmetrics=False).decode()
    pairs = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def test_series_are_there_at_zero_from_the_start(pair: tuple[Metrics, Metrics]) -> None:
    found = lines(pair[0], "one")
    info = found.pop('gateway_config_info{fingerprint="ffffffffffffffff"}')
    assert (info, found.pop("cco_overrides_enabled")) == ("1", "1")
    assert set(found.values()) <= {"0", "0.0"}
    for name in (
        'cco_overrides_total{from="a",to="b"}',
        'cco_overrides_total{from="c",to="d"}',
        "cco_cache_hits",
        "cco_cache_misses",
        "cco_cache_hit_rate",
        "cco_api_latency_count",
        'gateway_requests_total{provider="q",model="other",status="200",stream="true"}',
        "gateway_ttft_seconds_count",
        'gateway_overhead_seconds_bucket{le="+Inf"}',
        "gateway_streams_active",
        'gateway_streams_broken_total{cause="client"}',
        'gateway_answers_unread_total{provider="q"}',
        "gateway_cost_usd_total",
        'gateway_tokens_total{kind="cache_read"}',
        "gateway_audit_records_total",
        "gateway_prompt_cache_hit_ratio",
    ):
        assert name in found


def test_requests_of_all_workers_are_added_up(
    pair: tuple[Metrics, Metrics], record: AuditRecord
) -> None:
    one, two = pair
    one.observe(record)
    two.observe(replace(record, cost_pico=None, ttft_us=None))
    two.committed(2)
    two.overhead(0.0007)
    assert lines(one, "one") == lines(two, "two")
    found = lines(one, "one")
    labels = '{provider="p",model="b",status="200",stream="true"}'
    assert found[f"gateway_requests_total{labels}"] == "2"
    assert found['cco_overrides_total{from="a",to="b"}'] == "2"
    assert found["gateway_cost_usd_total"] == "0.000000000003"
    assert found['gateway_tokens_total{kind="cache_write"}'] == "6"
    assert found["gateway_prompt_cache_hit_ratio"] == str(60 / 86)
    assert found["gateway_audit_records_total"] == "2"
    assert (found["cco_api_latency_count"], found["cco_api_latency_sum"]) == ("2", "4.0")
    assert found['cco_api_latency_bucket{le="1.0"}'] == "0"
    assert found['cco_api_latency_bucket{le="2.5"}'] == "2"
    assert found["gateway_ttft_seconds_count"] == "1"
    assert found['gateway_overhead_seconds_bucket{le="0.0005"}'] == "0"
    assert found['gateway_overhead_seconds_bucket{le="0.001"}'] == "1"


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            {"provider": "x"},
            'gateway_requests_total{provider="other",model="b",status="200",stream="true"}',
        ),
        (
            {"model": "x", "overridden": False},
            'gateway_requests_total{provider="p",model="other",status="200",stream="true"}',
        ),
        (
            {"model": None, "status": 400, "stream": False, "overridden": False},
            'gateway_requests_total{provider="p",model="none",status="400",stream="false"}',
        ),
        ({"model": "x"}, 'cco_overrides_total{from="other",to="other"}'),
    ],
)
def test_values_from_outside_become_other(
    pair: tuple[Metrics, Metrics], change: dict[str, object], line: str, record: AuditRecord
) -> None:
    pair[0].observe(replace(record, **change))
    assert lines(pair[0], "one")[line] == "1"


def test_token_count_is_no_override_and_no_tokens(
    pair: tuple[Metrics, Metrics], record: AuditRecord
) -> None:
    pair[0].observe(replace(record, endpoint=Endpoint.COUNT_TOKENS))
    found = lines(pair[0], "one")
    assert found['cco_overrides_total{from="a",to="b"}'] == "0"
    assert found['gateway_tokens_total{kind="input"}'] == "0"


@dataclass
class Seen:
    stop_at: int | None = None


def test_open_streams_count_only_while_their_worker_lives(pair: tuple[Metrics, Metrics]) -> None:
    one, two = pair
    with one.stream(Seen(5)), two.stream(Seen(5)):
        assert lines(one, "one", "two")["gateway_streams_active"] == "2"
        assert lines(one, "one")["gateway_streams_active"] == "1"
    assert lines(one, "one", "two")["gateway_streams_active"] == "0"
    assert lines(one, "one")['gateway_streams_broken_total{cause="provider"}'] == "0"


@pytest.mark.parametrize(
    ("error", "cause"),
    [(asyncio.CancelledError, "client"), (None, "provider"), (RuntimeError, "provider")],
)
def test_stream_without_terminal_event_is_broken(
    pair: tuple[Metrics, Metrics], error: type[BaseException] | None, cause: str
) -> None:
    def stream() -> None:
        with pair[0].stream(Seen()):
            if error is not None:
                raise error

    if error is None:
        stream()
    else:
        with pytest.raises(error):
            stream()
    found = lines(pair[0], "one")
    assert found[f'gateway_streams_broken_total{{cause="{cause}"}}'] == "1"
    assert found["gateway_streams_active"] == "0"


def test_unread_answers_are_counted_by_known_providers(pair: tuple[Metrics, Metrics]) -> None:
    for name in ("q", "q", "somebody"):
        pair[0].unread(name)
    found = lines(pair[0], "one")
    assert found['gateway_answers_unread_total{provider="q"}'] == "2"
    assert found['gateway_answers_unread_total{provider="other"}'] == "1"


def test_cache_totals_are_those_of_all_workers(pair: tuple[Metrics, Metrics]) -> None:
    one, two = pair
    one.cache_asked(hit=True)
    two.cache_asked(hit=False)
    one.cache_holds(2, 100)
    two.cache_holds(1, 11)
    totals = one.cache_totals(("one", "two"))
    assert (totals.hits, totals.misses, totals.items, totals.size_bytes) == (1, 1, 3, 111)
    assert totals.hit_rate == 0.5
    assert one.cache_totals(("two",)).items == 1
    assert lines(two, "two")["cco_cache_hit_rate"] == "0.5"


@given(st.data())
def test_request_like_one_before_counts_like_the_first(
    record: AuditRecord, data: st.DataObject
) -> None:
    names = st.sampled_from(["a", "b", "c", "d", "p", "q", "x", None])
    changes = st.fixed_dictionaries(
        {
            "provider": st.sampled_from(["p", "q", "x"]),
            "model": names,
            "requested_model": names,
            "status": st.sampled_from([200, 429]),
            "stream": st.booleans(),
            "overridden": st.booleans(),
            "endpoint": st.sampled_from(list(Endpoint)),
            "skipped_reason": st.sampled_from([None, "target_down"]),
            "latency_us": st.integers(0, 400_000_000),
            "ttft_us": st.none() | st.integers(0, 400_000_000),
            "usage": st.none() | st.just(Usage(1, 2, 3, 4, 5)),
            "cost_pico": st.none() | st.integers(0, 10),
        }
    )
    seen = [replace(record, **change) for change in data.draw(st.lists(changes, max_size=12))]
    with TemporaryDirectory() as folder:
        one = Metrics(Counters(Path(folder), "7", "one"), KNOWN)
        for each in seen:
            one.observe(each)
        together = lines(one, "one")
        one.close()
    with TemporaryDirectory() as folder:
        # Each worker sees one request, so that nothing is remembered.
        workers = [Metrics(Counters(Path(folder), "7", f"w{n}"), KNOWN) for n in range(len(seen))]
        reader = Metrics(Counters(Path(folder), "7", "reader"), KNOWN)
        for worker, each in zip(workers, seen, strict=True):
            worker.observe(each)
        assert lines(reader, "reader") == together
        for worker in (*workers, reader):
            worker.close()


def test_more_kinds_of_requests_than_are_remembered_are_counted(
    tmp_path: Path, record: AuditRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meters, "_REMEMBERED", 4)
    one = Metrics(Counters(tmp_path, "7", "one"), KNOWN)
    for status in (*range(200, 220), *range(200, 220)):
        one.observe(replace(record, status=status))
    found = lines(one, "one")
    for status in range(200, 220):
        labels = f'provider="p",model="b",status="{status}",stream="true"'
        assert found[f"gateway_requests_total{{{labels}}}"] == "2"
    assert len(one._slots) == 4
    one.close()


@pytest.mark.parametrize(
    ("change", "remembered"),
    [
        ({}, 1),
        ({"requested_model": "b", "model": "a"}, 1),
        ({"requested_model": "x", "overridden": False}, 1),
        ({"requested_model": "x"}, 0),
        ({"requested_model": None}, 0),
        ({"model": "x", "overridden": False}, 0),
        ({"model": None, "overridden": False}, 0),
    ],
)
def test_only_known_models_are_remembered(
    pair: tuple[Metrics, Metrics], change: dict[str, object], remembered: int, record: AuditRecord
) -> None:
    pair[0].observe(replace(record, **change))
    assert len(pair[0]._slots) == remembered
