"""Who a change of the rules reaches, by the requests that were recorded. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from cco_migrate.forecast.asking import Forecast
from cco_migrate.model import JsonObject

HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class BlastRadius:
    """Who is reached.

    Attributes:
        clients: What they call themselves, or the name of their token; sorted.
        models: Models asked for that another one would replace; sorted.
        sessions: How many sessions asked for one of those.
        requests_per_hour: Requests that would be overridden, over the time that was looked at and
            at least an hour, so that a short record does not exaggerate.
        looked_at: Recorded requests the clients and sessions were counted in.
    """

    clients: tuple[str, ...]
    models: tuple[str, ...]
    sessions: int
    requests_per_hour: float
    looked_at: int

    def to_json(self) -> JsonObject:
        """Return it as JSON values."""
        return {**asdict(self), "clients": list(self.clients), "models": list(self.models)}

    @classmethod
    def from_json(cls, row: JsonObject) -> BlastRadius:
        """Rebuild it; raises KeyError or TypeError for a row of another shape."""
        return cls(**{**row, "clients": tuple(row["clients"]), "models": tuple(row["models"])})


def blast_radius(forecast: Forecast, entries: Sequence[JsonObject]) -> BlastRadius:
    """Return who sent the recorded requests that would be overridden.

    Args:
        entries: Audit entries; those of other models are only counted.
    """
    models = {source for source, _, _ in forecast.rules}
    reached = [entry for entry in entries if entry["requested_model"] in models]
    hours = max(_seconds(forecast.start, forecast.end), HOUR_S) / HOUR_S
    return BlastRadius(
        clients=_names(entry.get("user") or entry.get("client") for entry in reached),
        models=tuple(sorted(models)),
        sessions=len(_names(entry.get("session_id") for entry in reached)),
        requests_per_hour=round(forecast.overridden / hours, 1),
        looked_at=len(entries),
    )


def _names(values: Iterable[object]) -> tuple[str, ...]:
    return tuple(sorted({str(value) for value in values if value}))


def _seconds(start: datetime | None, end: datetime | None) -> float:
    return 0.0 if start is None or end is None else (end - start).total_seconds()
