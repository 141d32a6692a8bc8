"""A gateway as the toolkit sees it: answers in several dialects become objects only here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from cco_migrate.errors import ToolkitError
from cco_migrate.world import Answer, Http

TIMEOUT_S = 10.0

ASKED_AT_MOST = 5
"""How often the workers are asked for while the supervisor is busy: it is given 4 s each time."""
# What the checks read of an audit entry.
IDS_A_QUERY = 100  # a request line has its limit
AUDIT_FIELDS = frozenset({
    "request_id", "requested_model", "model", "stream", "cost_usd",
    "input_tokens", "output_tokens", "cache_write_tokens", "cache_read_tokens",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Health:
    """`GET /health`.

    Attributes:
        status: "ok", "draining", … or "" when the answer has none.
        overrides_enabled: None when the gateway does not say.
        override_rules: None when the gateway does not say.
        fingerprint: `config_fingerprint`; None for a gateway that has none.
        instance: Name the gateway gives itself; None for a gateway that has none.
    """

    status: str
    overrides_enabled: bool | None
    override_rules: int | None
    fingerprint: str | None
    instance: str | None


@dataclass(frozen=True, slots=True)
class Worker:
    """One row of `GET /gateway/workers`."""

    slot: int
    generation: int
    boot_id: str
    fingerprint: str
    state: str


@dataclass(frozen=True, slots=True)
class Workers:
    """`GET /gateway/workers`.

    Attributes:
        reload_finished_at: When the last reload ended; "" when there was none.
        reload_error: Why it failed; None when it did not.
        supervisor: Process id of who lists them; None when an older gateway does not say.
    """

    workers: tuple[Worker, ...]
    reload_finished_at: str
    reload_error: str | None
    supervisor: int | None = None

    @property
    def generation(self) -> int:
        """The newest generation that serves; 0 when none does."""
        return max((w.generation for w in self.workers if w.state == "serving"), default=0)

    @property
    def serving(self) -> tuple[Worker, ...]:
        """The workers that take new requests."""
        return tuple(w for w in self.workers if w.state == "serving")


@dataclass(frozen=True, slots=True)
class OverrideCounts:
    """`GET /api/overrides/stats`: how often each rule fired.

    Attributes:
        total: Requests that were overridden.
        by_model: Target and count by the model that was asked for.
    """

    total: int
    by_model: Mapping[str, tuple[str, int]]


class NotAGateway(ToolkitError):
    """Something answered that does not speak the contract."""


class Unreachable(ToolkitError):
    """Nobody answered."""


class GatewayClient:
    """Read-only calls of one gateway's operator API.

    Every call raises Unreachable when nobody answers, NotAGateway when a stranger does.
    """

    def __init__(self, url: str, http: Http) -> None:
        self.url, self.http = url.rstrip("/"), http

    def health(self) -> Health:
        """Ask for `/health`, a draining gateway's 503 included."""
        row = self._get("/health", allowed=(200, 503))
        enabled, rules = row.get("overrides_enabled"), row.get("override_rules")
        if "status" not in row:
            raise NotAGateway(f"{self.url}/health answers JSON without a status")
        return Health(
            status=str(row["status"]),
            overrides_enabled=enabled if isinstance(enabled, bool) else None,
            override_rules=rules if isinstance(rules, int) else None,
            fingerprint=_text(row.get("config_fingerprint")),
            instance=_text(row.get("instance")),
        )

    def workers(self) -> Workers | None:
        """Ask for `/gateway/workers`; None when the gateway has no such thing."""
        row = self._get("/gateway/workers", allowed=(200, 404), tries=ASKED_AT_MOST)
        if "workers" not in row:
            return None
        with self._reading("/gateway/workers"):
            outcome, supervisor = row.get("reload") or {}, row.get("supervisor")
            return Workers(
                workers=tuple(
                    Worker(w["slot"], w["generation"], w["boot_id"], w["fingerprint"], w["state"])
                    for w in row["workers"]
                ),
                reload_finished_at=str(outcome.get("finished_at", "")),
                reload_error=outcome.get("error"),
                supervisor=supervisor if isinstance(supervisor, int) else None,
            )

    def health_and_workers(self) -> tuple[Health, Workers | None]:
        """Ask for both; a foreign gateway, which gives no fingerprint, is not asked for workers."""
        health = self.health()
        return health, None if health.fingerprint is None else self.workers()

    def overrides(self) -> OverrideCounts:
        """Ask for `/api/overrides/stats`, in the object or the older `[target, count]` form."""
        row = self._get("/api/overrides/stats")
        if not isinstance(row.get("total_overrides"), int):
            raise NotAGateway(f"{self.url}/api/overrides/stats has no total_overrides")
        counts = {}
        with self._reading("/api/overrides/stats"):
            for model, entry in (row.get("overrides_by_model") or {}).items():
                if isinstance(entry, list):
                    counts[model] = (str(entry[0]), int(entry[1]))
                else:
                    counts[model] = (str(entry["overridden_to"]), int(entry["count"]))
        return OverrideCounts(row["total_overrides"], counts)

    def audit(
        self, *, limit: int = 1000, request_ids: Iterable[str] = ()
    ) -> list[Mapping[str, Any]] | None:
        """Ask for audit entries, newest first; None when there is no audit to compare with.

        The original gateway's does not say which model was asked for: it counts as none.

        Args:
            request_ids: Only these; empty for all.
        """
        wanted = list(request_ids)
        if not wanted:
            return self._audit(f"limit={limit}")
        found: list[Mapping[str, Any]] = []
        for begin in range(0, len(wanted), IDS_A_QUERY):
            some = set(wanted[begin : begin + IDS_A_QUERY])
            entries = self._audit(f"limit={len(some)}&request_id={','.join(sorted(some))}")
            if entries is None:
                return None
            found += [entry for entry in entries if entry["request_id"] in some]
        return found

    def model_totals(self) -> Mapping[str, tuple[int, float]] | None:
        """Ask for calls and cost in USD per model since ever; None when it does not say."""
        row = self._get("/api/machine/stats", allowed=(200, 404))
        models = row.get("models")
        if not isinstance(models, list):
            return None
        with self._reading("/api/machine/stats"):
            return {str(m["name"]): (int(m["calls"]), float(m["cost"] or 0)) for m in models}

    def page(self) -> str:
        """Fetch `/` as a browser would."""
        answer = self._ask("/", {"accept": "text/html"})
        if answer.status != 200 or "text/html" not in answer.headers.get("content-type", ""):
            raise NotAGateway(f"{self.url}/ answers {answer.status} and no page")
        return answer.body.decode(errors="replace")

    def _audit(self, query: str) -> list[Mapping[str, Any]] | None:
        row = self._get(f"/gateway/audit?{query}", allowed=(200, 404))
        entries = row.get("entries")
        if not isinstance(entries, list):
            return None
        with self._reading("/gateway/audit"):
            return entries if all(entry.keys() >= AUDIT_FIELDS for entry in entries) else None

    def _get(
        self, path: str, allowed: tuple[int, ...] = (200,), *, tries: int = 1
    ) -> dict[str, Any]:
        answer = self._ask(path, {})
        for _ in range(1, tries):
            if answer.status != 503:
                break
            answer = self._ask(path, {})
        where = f"{self.url}{path.partition('?')[0]}"
        if answer.status not in allowed:
            raise NotAGateway(f"{where} answers {answer.status}")
        if answer.status == 404:
            return {}
        try:
            row = json.loads(answer.body)
        except ValueError as error:
            raise NotAGateway(f"{where} answers {answer.status} and no JSON") from error
        if not isinstance(row, dict):
            raise NotAGateway(f"{where} answers JSON that is no object")
        return row

    @contextmanager
    def _reading(self, path: str) -> Iterator[None]:
        """Turn what goes wrong while JSON of another shape is read into NotAGateway."""
        try:
            yield
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise NotAGateway(f"{self.url}{path} has another shape: {error!r}") from error

    def _ask(self, path: str, headers: Mapping[str, str]) -> Answer:
        import httpx  # noqa: PLC0415  # see world.Http

        try:
            try:
                return self._once(path, headers)
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                return self._once(path, headers)  # a kept connection may just have been closed
        except httpx.TransportError as error:
            raise Unreachable(f"{self.url} does not answer: {error}") from error
        except httpx.RequestError as error:
            where = f"{self.url}{path.partition('?')[0]}"
            raise NotAGateway(f"{where} cannot be decoded: {error}") from error

    def _once(self, path: str, headers: Mapping[str, str]) -> Answer:
        return self.http.get(self.url + path, headers, TIMEOUT_S)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
