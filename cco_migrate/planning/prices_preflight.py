"""What the preflight says about prices: how old ours are, and whether the gateway bills by them."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from cco_migrate import costs
from cco_migrate.client import NotAGateway, Unreachable
from cco_migrate.context import Context
from cco_migrate.judge.charges import likely_cause
from cco_migrate.migrations import Inputs
from cco_migrate.planning.preflight import Line, Mark
from cco_migrate.probes.audited import Record, real
from cco_migrate.soak.counted import charged, is_plain

MAX_PRICE_AGE_DAYS = 90

MAX_CHARGE_AGE = timedelta(days=7)
"""Of what a gateway billed longer ago it may know better since: a week has a day of every kind, so
a model nobody asked for in it says little of the prices by which the change will be judged."""


def check_prices(inputs: Inputs, today: date) -> list[Line]:
    """Say when the price table is so old that costs may be wrong; nothing otherwise."""
    table = costs.known_prices(inputs.files)
    age_days = table.age_days(today)
    if age_days <= MAX_PRICE_AGE_DAYS:
        return []
    text = f"the prices are of {table.as_of}, {age_days} days old, and costs may be wrong"
    return [
        Line(Mark.WARN, f"{text}; install a newer version, or write costTracking.pricingOverrides")
    ]


def check_charges(inputs: Inputs, context: Context) -> list[Line]:
    """Say which models are billed by other prices already before the change; nothing otherwise.

    Only the newest charge of a model counts, and of late: older ones may be from before a change
    of prices.
    """
    table = costs.known_prices(inputs.files)
    since = context.world.clock.now() - MAX_CHARGE_AGE
    late = [row for row in _recorded(context) if is_plain(row) and _at(row, since) >= since]
    newest = {row["model"]: row for row in reversed(late)}
    found = charged(newest.values(), table)
    if not found.wrong:
        return []
    text = f"the newest charge of {', '.join(found.models)} is not what its tokens cost by the "
    text += f"prices of {found.as_of}, and the checks of charges may say NO-GO"
    return [Line(Mark.WARN, text + likely_cause(found.billed_usd, found.computed_usd))]


def _recorded(context: Context) -> tuple[Record, ...]:
    """Return recorded requests of clients, newest first; none when the gateway cannot say."""
    try:
        return real(context.gateway.audit() or ())
    except (Unreachable, NotAGateway):
        return ()


def _at(row: Record, unknown: datetime) -> datetime:
    """Return when a request was recorded; `unknown` when its record does not say so."""
    try:
        at = datetime.fromisoformat(row["timestamp"])
    except (KeyError, TypeError, ValueError):
        return unknown
    return at if at.tzinfo is not None else unknown
