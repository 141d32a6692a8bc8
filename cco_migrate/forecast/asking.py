"""What the gateway says other override rules would have done with its recorded requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from cco_migrate import config
from cco_migrate.config import ConfigName
from cco_migrate.context import Context
from cco_migrate.errors import ToolkitError
from cco_migrate.model import JsonObject

TOKEN_FILE = "admin-token"  # noqa: S105  # a file's name
PATH = "/gateway/what-if"
TIMEOUT_S = 60.0


class NoForecast(ToolkitError):
    """The gateway cannot say, or did not; what it would have said has to be assumed."""


@dataclass(frozen=True, slots=True)
class Peak:
    """The most that one minute would ask of one model.

    Attributes:
        limits: What the provider allows in a minute, by what is counted; None when it never said.
    """

    provider: str
    model: str
    requests: int
    input_tokens: int
    output_tokens: int
    limits: Mapping[str, int] | None


@dataclass(frozen=True, slots=True)
class Cost:
    """What the recorded requests cost, and would have cost, in USD.

    Attributes:
        interval: Where the change lies for as much traffic again; None with too few sessions.
        confidence: Of the interval, 0 to 1.
        priced: Requests whose cost is known both ways; the others are in neither sum.
        subscription: Requests a subscription pays, which are in neither sum.
    """

    now: Decimal
    then: Decimal
    interval: tuple[Decimal, Decimal] | None
    confidence: float
    priced: int
    subscription: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """The gateway's answer.

    Attributes:
        start: Arrival of the first request that was decided again; None without any.
        adapted: How often each change would be made so that the target accepts a request.
        skipped: How often a matching rule would not be applied, by reason.
        broken: How often no provider could be asked, by reason.
        limits_unknown: Overridden requests to models of which it is not known what they accept.
        rules: How often one model would take another's place: (from, to, requests).
        conversations: Sessions that are not over, and how many of them would change their model.
    """

    requests: int
    start: datetime | None
    end: datetime | None
    matched: int
    overridden: int
    adapted: Mapping[str, int]
    skipped: Mapping[str, int]
    broken: Mapping[str, int]
    limits_unknown: int
    rules: tuple[tuple[str, str, int], ...]
    conversations: int
    switched: int
    switching_cost_usd: Decimal
    peaks: tuple[Peak, ...]
    cost: Cost


def ask(context: Context, overrides: bytes) -> JsonObject:
    """Ask the gateway what these rules would have done; return its answer, which `read` reads.

    Args:
        overrides: The whole model-overrides.toml to try, which must be valid.

    Raises:
        NoForecast: It cannot say: it is another gateway, its token is not here, or it refused.
    """
    import httpx  # noqa: PLC0415  # see world.Http

    url = f"{context.instance.url}{PATH}"
    headers = {"authorization": f"Bearer {_token(context)}"}
    question = _question(context.instance.config, overrides)
    try:
        answer = context.world.http.client.post(
            url, json=question, headers=headers, timeout=TIMEOUT_S
        )
        row: Any = answer.json() if answer.status_code == 200 else None  # Any: JSON
    except (httpx.RequestError, ValueError) as error:
        raise NoForecast(f"{url}: {error}") from error
    if answer.status_code == 404:
        raise NoForecast(f"{context.instance.url} has no {PATH}")
    if row is None:
        raise NoForecast(f"{url} answers {answer.status_code}")
    read(row)
    return dict(row)


def read(row: JsonObject) -> Forecast:
    """Return an answer as an object; raises NoForecast for one of another shape."""
    try:
        return _read(row)
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise NoForecast(f"{PATH} has another shape: {error!r}") from error


def _token(context: Context) -> str:
    path = context.instance.home / TOKEN_FILE
    try:
        data = context.world.files.read(path)
    except OSError as error:
        raise NoForecast(f"{path}: {error.strerror}, and the question needs it") from error
    return data.decode("ascii", "replace").strip()


def _question(path: Path, overrides: bytes) -> JsonObject:
    document = config.check_file(ConfigName.OVERRIDES, path, overrides).document
    rules = [[rule.source, rule.target] for rule in config.overrides_of(document).rules]
    return {"overrides": {"rules": rules, "agent_rules": dict(document.get("agent_rules", {}))}}


def _read(row: JsonObject) -> Forecast:
    window, live = row["window"], row["live_sessions"]
    return Forecast(
        requests=int(window["requests"]),
        start=_time(window["start_time"]),
        end=_time(window["end_time"]),
        matched=int(row["matched"]),
        overridden=int(row["overridden"]),
        adapted=dict(row["adapted"]),
        skipped=dict(row["skipped"]),
        broken=dict(row["broken"]),
        limits_unknown=int(row["limits_unknown"]),
        rules=tuple((str(r["from"]), str(r["to"]), int(r["requests"])) for r in row["rules"]),
        conversations=int(live["conversations"]),
        switched=int(live["switched"]),
        switching_cost_usd=_usd(live["switching_cost_usd"]),
        peaks=tuple(Peak(**peak) for peak in row["peak_minutes"]),
        cost=_cost(row["cost"]),
    )


def _cost(row: JsonObject) -> Cost:
    ends = row["interval_usd"]
    return Cost(
        now=_usd(row["now_usd"]),
        then=_usd(row["then_usd"]),
        interval=None if ends is None else (_usd(ends[0]), _usd(ends[1])),
        confidence=float(row["confidence"]),
        priced=int(row["priced"]),
        subscription=int(row["subscription"]),
    )


def _usd(value: object) -> Decimal:
    return Decimal(str(value))


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
