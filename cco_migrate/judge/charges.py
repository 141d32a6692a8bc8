"""Is every request billed what its tokens cost? Recomputed, exact to rounding. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from cco_migrate.judge.criterion import Criterion
from cco_migrate.judge.ruling import Estimate
from cco_migrate.judge.terms import Terms
from cco_migrate.pricing.prices import PriceTable, Usage

ROUNDING_USD = Decimal("0.000001")
"""A micro-dollar a request: the precision in which gateways tell a cost."""

_THOUSAND = (Decimal(950), Decimal(1050))


@dataclass(frozen=True, slots=True)
class Charge:
    """What one request was billed and what its tokens cost, in USD.

    Attributes:
        billed_usd: None when the gateway tells no cost.
        lowest_usd: None when the model has no price in the table.
        highest_usd: More than the lowest where the record leaves the kind of a token open.
    """

    request_id: str
    billed_usd: Decimal | None
    lowest_usd: Decimal | None
    highest_usd: Decimal | None

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
class Charges:
    """The charges of a window."""

    charges: tuple[Charge, ...]

    def estimate(self, criterion: Criterion, terms: Terms) -> Estimate:
        """Return the number of wrong charges; one that cannot be checked leaves it open."""
        known = [charge for charge in self.charges if charge.known]
        wrong = [charge for charge in known if not charge.right]
        unknown = len(self.charges) - len(known)
        billed, cost = _total(known, "billed_usd"), _total(known, "lowest_usd")
        said = f"{len(wrong)} of {len(known)} charges wrong, ${billed:.6f} billed for ${cost:.6f}"
        said += f" ({', '.join(charge.request_id for charge in wrong[:3])})" if wrong else ""
        if wrong and cost and _THOUSAND[0] < billed / cost < _THOUSAND[1]:
            said += "; a thousand times too much: a price per million read as one per thousand"
        return Estimate(
            len(known),
            len(wrong),
            # What cannot be checked may be wrong, too.
            len(wrong) + unknown,
            said + (f", {unknown} without charge or price" if unknown else ""),
            k=len(wrong),
            facts={"billed_usd": str(billed), "computed_usd": str(cost), "unknown": unknown},
        )


def charge(
    request_id: str, model: str, usage: Usage, billed: Decimal | None, table: PriceTable
) -> Charge:
    """Return the charge of a request beside what its tokens cost by a dated price table."""
    tariff = table.tariff(model)
    cost = None if tariff is None else tariff.cost_usd(usage)
    return Charge(request_id, billed, cost, cost)


def _total(charges: list[Charge], name: str) -> Decimal:
    return sum((getattr(charge, name) for charge in charges), Decimal(0))
