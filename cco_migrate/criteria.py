"""The criteria of the cutover as data, and the file in which an operator changes them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cco_migrate import resources
from cco_migrate.editing.documents import Format, index, parse
from cco_migrate.errors import InvalidInput
from cco_migrate.judge.criterion import Bounds, Criterion, Kind, Mode, Traffic
from cco_migrate.judge.outages import DAY_S
from cco_migrate.model import JsonObject
from cco_migrate.validate import Source, validate
from cco_migrate.verdict import Severity

_SOUND = ("config-loaded", "evidence-integrity")
_PLAN = "gateway cutover plan"
_ROLLBACK = f"{_PLAN}, rollback decision criteria"
_METRICS = f"{_PLAN}, success metrics"
_GO_NO_GO = f"{_PLAN}, go/no-go criteria"
_OURS = "cco-migrate: evidence must belong together"

_TABLE = (
    Criterion(
        "config-loaded", Kind.INVARIANT, Bounds(0, 0),
        "workers without the plan's configuration fingerprint", "workers", _OURS, staleness_s=60,
    ),
    Criterion(
        "evidence-integrity", Kind.INVARIANT, Bounds(0, 0),
        "counters, boots and sequence numbers that contradict each other", "readings", _OURS,
    ),
    Criterion(
        "start-failures", Kind.POPULATION, Bounds(0.05, 0.05),
        "systems on which the gateway does not start, of all systems of the fleet", "share",
        _ROLLBACK, staleness_s=DAY_S,
    ),
    Criterion(
        "streaming-failures", Kind.RATE, Bounds(0.10, 0.10),
        "streaming requests without their terminal event, of those the client did not break off",
        "share", _ROLLBACK, depends_on=_SOUND,
    ),
    Criterion(
        "error-rate", Kind.RATE, Bounds(0.001, 0.001),
        "requests that failed, retries counted once, of those the client did not break off",
        "share", _METRICS, depends_on=_SOUND,
    ),
    Criterion(
        "availability", Kind.OUTAGE, Bounds(0.001, 0.001),
        "time in which the health endpoint did not answer, of the whole window", "share",
        _GO_NO_GO, minimum_samples=100, window_s=4 * DAY_S,
    ),
    Criterion(
        "latency-ratio", Kind.RATIO, Bounds(1.25, 1.50),
        "time to the first token, new over old, by model, streaming and bucket of tokens", "ratio",
        _ROLLBACK, minimum_samples=50, depends_on=_SOUND,
    ),
    Criterion(
        "latency-average", Kind.MEAN, Bounds(500, 500),
        "overhead of the gateway, mean of windows of one minute", "ms", _METRICS,
        minimum_samples=10, depends_on=_SOUND,
    ),
    Criterion(
        "audit-complete", Kind.RECORDS, Bounds(0, 0),
        "accepted requests with no audit record or more than one", "requests", _METRICS,
        depends_on=_SOUND,
    ),
    Criterion(
        "audit-gaps", Kind.RECORDS, Bounds(0, 0),
        "numbers of accepted requests, process by process, that no audit record has", "requests",
        _METRICS, depends_on=_SOUND,
    ),
    Criterion(
        "throughput-ratio", Kind.RATIO, Bounds(0.75, 0.50, at_least=True),
        "test streams a second, sent at one time whatever is answered, new over old", "ratio",
        _ROLLBACK,
        traffic=Traffic.SYNTHETIC, staleness_s=DAY_S, minimum_samples=20, depends_on=_SOUND,
    ),
    Criterion(
        "cost-accuracy", Kind.CHARGES, Bounds(0, 0),
        "requests billed otherwise than their tokens cost by the price table", "requests",
        f"{_PLAN}, phase 1 success criteria", depends_on=_SOUND,
    ),
    Criterion(
        "overrides-applied", Kind.COUNT, Bounds(1, 1, at_least=True),
        "requests whose model was overridden, of those that a rule names", "overrides",
        "operator guide, verification", depends_on=_SOUND,
    ),
    Criterion(
        "cache-hit-rate", Kind.RATE, Bounds(0.30, 0.30, at_least=True),
        "prompt tokens the provider read from its cache, by request: hits of all", "share",
        "operator guide, monitoring", mode=Mode.OBSERVE, depends_on=_SOUND,
    ),
    Criterion(
        "complaints", Kind.POPULATION, Bounds(None, 0.10),
        "active users who complained; silence is no praise", "share", _ROLLBACK,
        staleness_s=DAY_S,
    ),
    Criterion(
        "critical-bugs", Kind.ATTESTATION, Bounds(1, 1, at_least=True),
        "people who attest that no critical bug is open", "approvals", _GO_NO_GO,
        staleness_s=30 * DAY_S,
    ),
    Criterion(
        "team-approval", Kind.ATTESTATION, Bounds(1, 1, at_least=True),
        "people of the team who approve the next phase", "approvals", _GO_NO_GO,
        staleness_s=30 * DAY_S,
    ),
    Criterion(
        "user-feedback", Kind.ATTESTATION, Bounds(1, 1, at_least=True),
        "people who attest that users are content", "approvals", _GO_NO_GO,
        staleness_s=30 * DAY_S,
    ),
)  # fmt: skip

CRITERIA: Mapping[str, Criterion] = {criterion.id: criterion for criterion in _TABLE}
"""The figures of the documents; a file may change them before the first sample."""


def read_criteria(
    data: bytes | None, path: Path, table: Mapping[str, Criterion] = CRITERIA
) -> Mapping[str, Criterion]:
    """Return all criteria by id: a table with what a file changes and adds.

    Args:
        data: The file; None when there is none.
        path: Named in messages only.
        table: The criteria that are known without the file.

    Raises:
        InvalidInput: A key is unknown, a value impossible or a criterion without bounds; with each
            fault's line and what to write.
    """
    if data is None:
        return table
    document: Any = parse(data, Format.JSON, path)  # Any: JSON, of the schema's shape once checked
    source = Source(path, data, index(data, Format.JSON))
    findings = validate(document, resources.schema("criteria"), source)
    errors = tuple(one for one in findings if one.severity is Severity.ERROR)
    if errors:
        raise InvalidInput(str(errors[0]), findings=errors)
    changed = {name: _changed(name, row, path, table.get(name)) for name, row in document.items()}
    return {**table, **changed}


def to_json(criterion: Criterion) -> dict[str, object]:
    """Return a criterion as JSON values, its id apart: the row of a file or a frozen plan."""
    bounds = criterion.bounds
    given = {"go": bounds.go, "no_go": bounds.no_go, "window_s": criterion.window_s}
    return {
        "kind": criterion.kind.value,
        **{name: value for name, value in given.items() if value is not None},
        "at_least": bounds.at_least,
        "quantity": criterion.quantity,
        "unit": criterion.unit,
        "source": criterion.source,
        "mode": criterion.mode.value,
        "traffic": criterion.traffic.value,
        "staleness_s": criterion.staleness_s,
        "minimum_samples": criterion.minimum_samples,
        "depends_on": list(criterion.depends_on),
        "counts_planned_work": criterion.counts_planned_work,
    }


def from_json(name: str, row: JsonObject) -> Criterion:
    """Rebuild a criterion; raises KeyError or ValueError for a row that is none."""
    return Criterion(
        id=name,
        kind=Kind(row["kind"]),
        bounds=Bounds(row.get("go"), row.get("no_go"), row.get("at_least", False)),
        quantity=row["quantity"],
        unit=row["unit"],
        source=row["source"],
        mode=Mode(row.get("mode", Mode.ENFORCE)),
        traffic=Traffic(row.get("traffic", Traffic.REAL)),
        staleness_s=row.get("staleness_s", 300.0),
        minimum_samples=row.get("minimum_samples", 1),
        depends_on=tuple(row.get("depends_on", ())),
        window_s=row.get("window_s"),
        counts_planned_work=row.get("counts_planned_work", True),
    )


def _changed(name: str, row: JsonObject, path: Path, known: Criterion | None) -> Criterion:
    if known is not None and row.get("kind", known.kind) != known.kind:
        raise InvalidInput(f"{path}: {name}.kind: is {known.kind}, and cannot be changed")
    try:
        return from_json(name, {**(to_json(known) if known else {}), **row})
    except KeyError as error:
        raise InvalidInput(f"{path}: {name}: a new criterion needs {error}") from error
    except ValueError as error:
        raise InvalidInput(f"{path}: {name}: {error}") from error
