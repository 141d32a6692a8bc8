"""How fast the old path answers, captured before the cutover, and the new path against it. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cco_migrate.gates.checked import checked
from cco_migrate.gates.kept import moments_json, moments_of
from cco_migrate.judge.moments import Moments
from cco_migrate.judge.ratios import Arms, Ratio
from cco_migrate.model import JsonObject
from cco_migrate.probes.streams import Sent

VERSION = 1


@dataclass(frozen=True, slots=True)
class Baseline:
    """What was measured of the old path.

    Attributes:
        at: When, RFC 3339.
        first_token: Logarithms of the seconds to the first token, by stratum.
    """

    at: str
    url: str
    first_token: Mapping[str, Moments]

    def to_json(self) -> JsonObject:
        """Return the file's document."""
        strata = moments_json(self.first_token)
        return {"schema_version": VERSION, "at": self.at, "url": self.url, "first_token": strata}

    def encoded(self) -> bytes:
        """Return the file."""
        return json.dumps(self.to_json(), indent=2, ensure_ascii=False).encode() + b"\n"


def read_baseline(data: bytes, path: Path) -> Baseline:
    """Return the baseline of a file; raises InvalidInput with line, key and what to write."""
    row = checked(data, path, "gate-baseline")
    return Baseline(row["at"], row["url"], moments_of(row["first_token"]))


def first_tokens(sent: Iterable[Sent]) -> Mapping[str, Moments]:
    """Return the seconds to the first token of whole streams, on logarithms, by stratum.

    A stratum is a model and the form of the question: canaries of one form are of one length.
    """
    taken: dict[str, list[float]] = {}
    for one in sent:
        first_s = one.stream.first_token_s
        if first_s and not one.stream.faults:
            taken.setdefault(_stratum(one), []).append(math.log(first_s))
    return {name: Moments.of(values) for name, values in taken.items()}


def against(baseline: Baseline, new: Mapping[str, Moments]) -> Ratio:
    """Return the new path over the old, stratum by stratum."""
    old = baseline.first_token
    names = sorted(old.keys() | new.keys())
    return Ratio({name: Arms(old.get(name, Moments()), new.get(name, Moments())) for name in names})


def _stratum(one: Sent) -> str:
    form = "tool call" if one.canary.wants_tool else "text"
    return f"{one.canary.model}, streamed, {form}"
