"""How the old path answers, captured before the cutover, and the new path against it. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cco_migrate.gates.checked import checked
from cco_migrate.gates.kept import moments_json, moments_of, together
from cco_migrate.judge.moments import Moments
from cco_migrate.judge.ratios import Arms, Ratio
from cco_migrate.model import JsonObject
from cco_migrate.probes.canaries import TOOL_EVERY
from cco_migrate.probes.streams import Burst, Sent

VERSION = 1
DIRECT, PROXY = "direct", "proxy"
"""Which path was measured: the URL itself, or through a forward proxy."""

Strata = Mapping[str, Moments]


@dataclass(frozen=True, slots=True)
class Pace:
    """How one path answered verification streams.

    Attributes:
        first_token: Logarithms of the seconds to the first token, by stratum.
        throughput: Logarithms of the streams a second of whole bursts, by stratum.
        streams: Streams that were answered or broke.
        broken: Those of them that broke the protocol.
    """

    first_token: Strata = field(default_factory=dict)
    throughput: Strata = field(default_factory=dict)
    streams: int = 0
    broken: int = 0

    def __add__(self, other: Pace) -> Pace:
        """Return what both together say."""
        return Pace(
            together(self.first_token, other.first_token),
            together(self.throughput, other.throughput),
            self.streams + other.streams,
            self.broken + other.broken,
        )

    def to_json(self) -> JsonObject:
        """Return JSON values."""
        return {
            "streams": self.streams,
            "broken": self.broken,
            "first_token": moments_json(self.first_token),
            "throughput": moments_json(self.throughput),
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Pace:  # Any: JSON
        """Rebuild it; what an older file does not tell was not measured."""
        return cls(
            moments_of(row["first_token"]),
            moments_of(row.get("throughput", {})),
            row.get("streams", 0),
            row.get("broken", 0),
        )


@dataclass(frozen=True, slots=True)
class Baseline:
    """What was measured before the cutover.

    Attributes:
        at: When, RFC 3339.
        url: Whom the old path asked.
        old: How it answered.
        proxy: The old proxy that was in between; "" when the URL was asked directly.
        gateway: URL of the gateway that was measured beside it; "" when there was none.
        new: How that gateway answered; None when there was none.
    """

    at: str
    url: str
    old: Pace
    proxy: str = ""
    gateway: str = ""
    new: Pace | None = None

    def to_json(self) -> JsonObject:
        """Return the file's document."""
        path = {"path": PROXY, "proxy": self.proxy} if self.proxy else {"path": DIRECT}
        beside = {"gateway": {"url": self.gateway, **self.new.to_json()}} if self.new else {}
        known = {"schema_version": VERSION, "at": self.at, "url": self.url}
        return {**known, **path, **self.old.to_json(), **beside}

    def encoded(self) -> bytes:
        """Return the file."""
        return json.dumps(self.to_json(), indent=2, ensure_ascii=False).encode() + b"\n"

    def __str__(self) -> str:
        """Return which path it was, and when."""
        through = f" through {self.proxy}" if self.proxy else ""
        return f"baseline of {self.at}, {self.url}{through}"


def read_baseline(data: bytes, path: Path) -> Baseline:
    """Return the baseline of a file; raises InvalidInput with line, key and what to write."""
    row = checked(data, path, "gate-baseline")
    beside = row.get("gateway")
    return Baseline(
        row["at"],
        row["url"],
        Pace.from_json(row),
        row.get("proxy", ""),
        beside["url"] if beside else "",
        Pace.from_json(beside) if beside else None,
    )


def pace_of(sent: Iterable[Sent], paced: Strata) -> Pace:
    """Return how a path answered streams; a refused credential is no stream at all.

    Args:
        paced: The throughput of the bursts in which they were sent.
    """
    made = [one for one in sent if not one.refused]
    broken = sum(bool(one.stream.faults) for one in made)
    return Pace(first_tokens(made), paced, len(made), broken)


def pace_of_bursts(bursts: Sequence[Burst]) -> Pace:
    """Return how a path answered bursts."""
    return pace_of((one for burst in bursts for one in burst.sent), throughput(bursts))


def first_tokens(sent: Iterable[Sent]) -> Strata:
    """Return the seconds to the first token of whole streams, on logarithms, by stratum.

    A stratum is a model and the form of the question: canaries of one form are of one length.
    """
    taken: dict[str, list[float]] = {}
    for one in sent:
        first_s = one.stream.first_token_s
        if first_s and not one.stream.faults:
            taken.setdefault(_stratum(one), []).append(math.log(first_s))
    return {name: Moments.of(values) for name, values in taken.items()}


def throughput(bursts: Iterable[Burst]) -> Strata:
    """Return the streams a second of whole bursts, on logarithms, by stratum.

    Only bursts of full size are alike: each holds one canary of every kind.
    """
    taken: dict[str, list[float]] = {}
    for one in bursts:
        if one.whole and len(one.sent) == TOOL_EVERY and one.took_s > 0:
            name = f"{one.sent[0].canary.model}, {TOOL_EVERY} at a time"
            taken.setdefault(name, []).append(math.log(len(one.sent) / one.took_s))
    return {name: Moments.of(values) for name, values in taken.items()}


def against(old: Strata, new: Strata) -> Ratio:
    """Return the new path over the old, stratum by stratum."""
    names = sorted(old.keys() | new.keys())
    return Ratio({name: Arms(old.get(name, Moments()), new.get(name, Moments())) for name in names})


def _stratum(one: Sent) -> str:
    form = "tool call" if one.canary.wants_tool else "text"
    return f"{one.canary.model}, streamed, {form}"
