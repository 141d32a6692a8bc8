"""Tell in one line what the overrides have done. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.config.settings import ReportFormat
from gateway.redact import redact
from gateway.wire.answers import to_json

MOST = 20
"""So many requested models are named, the most frequent ones."""

_TOTALS = ("total_overrides", "total_requests", "unmatched_requests")


def override_report(
    statistics: Mapping[str, Any],  # Any: the answer of /api/overrides/stats
    form: ReportFormat,
) -> str | None:
    """Return the report in the form asked for; None when it is to be silent."""
    if form is ReportFormat.SILENT:
        return None
    models = {
        redact(model): {**row, "overridden_to": redact(row["overridden_to"])}
        for model, row in list(statistics["overrides_by_model"].items())[:MOST]
    }
    if form is ReportFormat.JSON:
        totals = {name: statistics[name] for name in _TOTALS}
        return to_json({**totals, "overrides_by_model": models}).decode()
    total, requests = statistics["total_overrides"], statistics["total_requests"]
    lines = [f"{total} of {requests} requests went to another model"]
    for model, row in models.items():
        saved = "" if row["cost_saved"] is None else f", saved {row['cost_saved']}"
        lines.append(f"{model} → {row['overridden_to']} {row['count']}{saved}")
    return "; ".join(lines)
