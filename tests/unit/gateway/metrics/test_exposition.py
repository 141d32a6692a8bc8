"""The two text formats of metrics, line by line."""

from __future__ import annotations

from decimal import Decimal

import pytest

from gateway.metrics.exposition import Kind, Metric, Sample, histogram, openmetrics_wanted, render

METRICS = (
    Metric(
        "cost_total",
        Kind.COUNTER,
        'In "USD".',
        (Sample((("a", 'x"y\\z\n'), ("b", "")), Decimal("0.000000000001")),),
    ),
    Metric("cco_cache_hits", Kind.UNTYPED, "Hits.", (Sample((), 3),)),
    Metric("ratio", Kind.GAUGE, "Ratio.", (Sample((), 0.5),)),
    Metric("config_info", Kind.INFO, "Config.", (Sample((("fingerprint", "f"),), 1),)),
    Metric("seconds", Kind.HISTOGRAM, "Time.", histogram((0.5, 1.0), (1, 2, 3), 4.5)),
    Metric("none_total", Kind.COUNTER, "None.", ()),
)

TEXT = r"""# HELP cost_total In "USD".
# TYPE cost_total counter
cost_total{a="x\"y\\z\n",b=""} 0.000000000001
# HELP cco_cache_hits Hits.
# TYPE cco_cache_hits untyped
cco_cache_hits 3
# HELP ratio Ratio.
# TYPE ratio gauge
ratio 0.5
# HELP config_info Config.
# TYPE config_info gauge
config_info{fingerprint="f"} 1
# HELP seconds Time.
# TYPE seconds histogram
seconds_bucket{le="0.5"} 1
seconds_bucket{le="1.0"} 3
seconds_bucket{le="+Inf"} 6
seconds_count 6
seconds_sum 4.5
# HELP none_total None.
# TYPE none_total counter
"""

CHANGES = (
    ('# HELP cost_total In "USD".', r"# HELP cost In \"USD\"."),
    ("# TYPE cost_total counter", "# TYPE cost counter"),
    ("# TYPE cco_cache_hits untyped", "# TYPE cco_cache_hits unknown"),
    ("# HELP config_info Config.", "# HELP config Config."),
    ("# TYPE config_info gauge", "# TYPE config info"),
    ("# HELP none_total None.", "# HELP none None."),
    ("# TYPE none_total counter", "# TYPE none counter"),
)


def test_text_format() -> None:
    assert render(METRICS, openmetrics=False).decode() == TEXT


def test_openmetrics_names_families_without_suffix_and_ends() -> None:
    expected = TEXT
    for old, new in CHANGES:
        assert old in expected
        expected = expected.replace(old, new)
    assert render(METRICS, openmetrics=True).decode() == expected + "# EOF\n"


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        (b"", False),
        (b"*/*", False),
        (b"text/plain;version=0.0.4", False),
        (b"application/openmetrics-text", True),
        (b"application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5", True),
        (b"application/openmetrics-text;q=0.4, text/plain;q=0.5,*/*;q=0.1", False),
        (b"application/openmetrics-text;q=0", False),
        (b"application/openmetrics-text;q=x", False),
        (b"Application/OpenMetrics-Text; q=1", True),
    ],
)
def test_accept_decides_the_format(accept: bytes, wanted: bool) -> None:
    assert openmetrics_wanted(accept) is wanted
