"""Is every request billed what its tokens cost? Recomputed, exact to rounding. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from cco_migrate.judge.criterion import Criterion
from cco_migrate.judge.ruling import Estimate
from cco_migrate.judge.terms import Terms
from cco_migrate.pricing.prices import PriceTable, Usage

ROUNDING_USD = Decimal("0.000001")
"""A micro-dollar a request: the precision in which gateways tell a cost."""

_OTHER_PRICES = (
    "; if the gateway bills by other prices, install its version of this tool, "
    "or write costTracking.pricingOverrides"
)
_THOUSANDFOLD = "; a thousand times too much: a price per million read as one per thousand"
_SHOWN = 3
_THOUSAND = (Decimal(950), Decimal(1050))


@dataclass(frozen=True, slots=True)
class Charge:
    """What one request was billed and what its tokens cost, in USD.

    Attributes:
        billed_usd: None when the gateway tells no cost.
        lowest_usd: None when the model has no price in the table.
        highest_usd: More than the lowest where the record leaves the kind of a token open.
        model: It was billed for; "" when nobody said.
    """

    request_id: str
    billed_usd: Decimal | None
    lowest_usd: Decimal | None
    highest_usd: Decimal | None
    model: str = ""

    @property
    def known(self) -> bool:
        """Whether both sides are known."""
        return None not in (self.billed_usd, self.lowest_usd, self.highest_usd)

    @property
    def right(self) -> bool:
        """Whether the charge is what the tokens cost; raises TypeError unless both are known."""
        if self.billed_usd is None or self.lowest_usd is None or self.highest_usd is None:
            raise TypeError(f"{self.request_id}: charge or price is unknown")
        low, high = self.lowest_usd - ROUNDING_USD, self.highest_usd + ROUNDING_USD
        return low <= self.billed_usd <= high


@dataclass(frozen=True, slots=True)
class ChargeTotals:
    """The charges of a window added up: what is kept of them as it grows.

    Attributes:
        known: Charges that could be checked.
        wrong: Those of them that were wrong.
        unknown: Charges that could not be checked.
        named: The first wrong requests by id, a few.
        models: The first models of wrong requests, a few.
        as_of: Day of the price table, RFC 3339; "" when nobody said.
    """

    known: int = 0
    wrong: int = 0
    unknown: int = 0
    billed_usd: Decimal = Decimal(0)
    computed_usd: Decimal = Decimal(0)
    named: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    as_of: str = ""

    @classmethod
    def of(cls, charges: Iterable[Charge], as_of: str = "") -> ChargeTotals:
        """Return the totals of charges that were priced by the table of a day."""
        given = tuple(charges)
        known = [charge for charge in given if charge.known]
        wrong = [charge for charge in known if not charge.right]
        named = tuple(charge.request_id for charge in wrong[:_SHOWN])
        models = _first(charge.model for charge in wrong)
        billed, cost = _total(known, "billed_usd"), _total(known, "lowest_usd")
        unknown = len(given) - len(known)
        return cls(len(known), len(wrong), unknown, billed, cost, named, models, as_of)

    def __add__(self, later: ChargeTotals) -> ChargeTotals:
        """Return the totals of both windows."""
        return ChargeTotals(
            self.known + later.known,
            self.wrong + later.wrong,
            self.unknown + later.unknown,
            self.billed_usd + later.billed_usd,
            self.computed_usd + later.computed_usd,
            (*self.named, *later.named)[:_SHOWN],
            _first((*self.models, *later.models)),
            later.as_of or self.as_of,
        )

    def estimate(self, criterion: Criterion, terms: Terms) -> Estimate:
        """Return the number of wrong charges; one that cannot be checked leaves it open."""
        billed, cost = self.billed_usd, self.computed_usd
        said = f"{self.wrong} of {self.known} charges wrong, ${billed:.6f} billed for ${cost:.6f}"
        said += f" ({', '.join(self.named)}{self._priced})" if self.named else ""
        said += likely_cause(billed, cost) if self.wrong else ""
        return Estimate(
            self.known,
            self.wrong,
            # What cannot be checked may be wrong, too.
            self.wrong + self.unknown,
            said + (f", {self.unknown} without charge or price" if self.unknown else ""),
            k=self.wrong,
            facts={"billed_usd": str(billed), "computed_usd": str(cost), "unknown": self.unknown},
        )

    @property
    def _priced(self) -> str:
        """Which model was priced, and by which table."""
        models = f" of {', '.join(self.models)}" if self.models else ""
        return models + (f", prices of {self.as_of}" if self.as_of else "")


@dataclass(frozen=True, slots=True)
class Charges:
    """The charges of a window, one by one; `as_of` is the day of the price table, if known."""

    charges: tuple[Charge, ...]
    as_of: str = ""

    def estimate(self, criterion: Criterion, terms: Terms) -> Estimate:
        """Return the number of wrong charges; one that cannot be checked leaves it open."""
        return ChargeTotals.of(self.charges, self.as_of).estimate(criterion, terms)


def charge(
    request_id: str, model: str, usage: Usage, billed: Decimal | None, table: PriceTable
) -> Charge:
    """Return the charge of a request beside what its tokens cost by a dated price table."""
    tariff = table.tariff(model)
    cost = None if tariff is None else tariff.cost_usd(usage)
    return Charge(request_id, billed, cost, cost, model)


def likely_cause(billed_usd: Decimal, computed_usd: Decimal) -> str:
    """Return what explains wrong charges of these sums, to be put behind it; "" when nothing does.

    Gateway and tool have a price table each, so with other prices neither need be wrong.
    """
    if computed_usd and _THOUSAND[0] < billed_usd / computed_usd < _THOUSAND[1]:
        return _THOUSANDFOLD
    return _OTHER_PRICES if billed_usd else ""


def _total(charges: list[Charge], name: str) -> Decimal:
    return sum((getattr(charge, name) for charge in charges), Decimal(0))


def _first(models: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one for one in models if one))[:_SHOWN]
