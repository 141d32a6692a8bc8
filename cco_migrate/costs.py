"""Reads what orchestra-config.json says about costs, and judges its prices. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from pathlib import Path

from cco_migrate import config, resources
from cco_migrate.config import ConfigName, Document
from cco_migrate.editing.documents import Format, index, line_of
from cco_migrate.editing.spans import KeyPath, dotted
from cco_migrate.errors import InvalidInput
from cco_migrate.pricing.prices import STEP, PriceOverride, PriceTable
from cco_migrate.verdict import Finding, Severity

# The severity each rule reports, and what it means.
RULES: Mapping[str, tuple[Severity, str]] = {
    "cost-switched-off": (Severity.WARNING, "no request has a cost"),
    "cost-unknown-model": (Severity.ERROR, "a model that no table knows needs its main prices"),
    "cost-too-fine": (Severity.ERROR, "a price has more digits than money is counted in"),
}

_KEY: KeyPath = ("llmGateway", "costTracking")
_FIELDS: Mapping[str, str] = {
    "inputPerMillion": "input",
    "outputPerMillion": "output",
    "cacheWritePerMillion": "cache_write",
    "cacheReadPerMillion": "cache_read",
}


@dataclass(frozen=True, slots=True)
class CostTracking:
    """What is said about costs, defaults filled in.

    Attributes:
        enabled: Whether the gateway computes them.
        overrides: Prices by model, laid over the table.
    """

    enabled: bool = True
    overrides: Mapping[str, PriceOverride] = field(default_factory=dict)

    def prices(self) -> PriceTable:
        """Return the price table as the gateway sees it."""
        return PriceTable(resources.data("prices"), self.overrides) if self.overrides else _listed()


def costs_of(document: Document) -> CostTracking:
    """Return what a checked orchestra-config.json says about costs."""
    table = document.get("llmGateway", {}).get("costTracking", {})
    rows = table.get("pricingOverrides", {})
    overrides = {
        model: PriceOverride(
            **{name: Decimal(row[key]) for key, name in _FIELDS.items() if key in row}
        )
        for model, row in rows.items()
    }
    return CostTracking(table.get("enabled", True), overrides)


def read_costs(path: Path, data: bytes | None) -> CostTracking:
    """Return what an orchestra-config.json says about costs; the defaults when it is absent.

    Raises:
        InvalidInput: with every fault found.
    """
    if data is None:
        return CostTracking()
    checked = config.check_file(ConfigName.ORCHESTRA, path, data)
    found = checked.errors or lint_costs(checked.document, path, data)
    errors = tuple(one for one in found if one.severity is Severity.ERROR)
    if errors:
        raise InvalidInput(str(errors[0]), findings=errors)
    return costs_of(checked.document)


def known_prices(files: Mapping[ConfigName, bytes | None]) -> PriceTable:
    """Return the price table of a set of files; of a faulty one only what ships with the toolkit.

    The findings tell that it is faulty.
    """
    try:
        data = files.get(ConfigName.ORCHESTRA)
        return read_costs(Path(ConfigName.ORCHESTRA.filename), data).prices()
    except InvalidInput:
        return CostTracking().prices()


def lint_costs(document: Document, path: Path, data: bytes) -> tuple[Finding, ...]:
    """Return what is wrong with the prices of a checked document, or keeps costs from being known.

    Args:
        path: Named in the findings.
        data: The file the document was read from, for line numbers.
    """
    entries = index(data, Format.JSON)
    return tuple(
        Finding(rule, RULES[rule][0], path, message, line_of(data, entries, key), dotted(key))
        for rule, key, message in _faults(costs_of(document))
    )


@cache  # read for every check of every instance, and the same for all that override nothing
def _listed() -> PriceTable:
    return PriceTable(resources.data("prices"))


def _faults(costs: CostTracking) -> Iterator[tuple[str, KeyPath, str]]:
    if not costs.enabled:
        message = "is false, so no request has a cost, and none can be compared"
        yield "cost-switched-off", (*_KEY, "enabled"), message
    incomplete = costs.prices().incomplete
    for model, override in costs.overrides.items():
        key = (*_KEY, "pricingOverrides", model)
        if model in incomplete:
            message = "no price of it is known: inputPerMillion and outputPerMillion must be given"
            yield "cost-unknown-model", key, message
        for name, kind in _FIELDS.items():
            rate = getattr(override, kind)
            if rate is not None and rate % STEP:
                yield "cost-too-fine", (*key, name), f"must be in steps of {STEP:f}"
