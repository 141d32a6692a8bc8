"""What a report concludes, as lines that can be compared: the words around may change. Pure."""

from __future__ import annotations

from cco_migrate.model import JsonObject, canonical


def conclusions(report: JsonObject) -> list[str]:
    """Return what a report says of the run, of each verdict, and each figure that it draws.

    Raises:
        KeyError, TypeError: It is no such report.
    """
    whole = [f"{name} {report[name]}" for name in ("run", "digest", "verdict")]
    whole += [
        f"{one['verdict']} of {one['step']} {one['criterion']}".rstrip()
        for one in report["verdicts"]
    ]
    names = ("value", "n", "low", "high", "target", "where")
    whole += [
        f"{one['standing']} of {one['kpi']} ({', '.join(f'{n} {one[n]}' for n in names)})"
        for one in report["kpis"]
    ]
    times = ("label", "n", "low_ms", "mean_ms", "high_ms")
    whole += [
        f"latency {one['stratum']} {[arm[name] for name in times]}"
        for one in report["latency"] for arm in one["arms"]
    ]  # fmt: skip
    whole += [f"way back {canonical(one).decode()}" for one in report.get("rehearsal", ())]
    whole += [f"lines {canonical(one['points']).decode()}" for one in report["lines"]]
    return whole
