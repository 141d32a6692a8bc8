"""Says a forecast and a blast radius in sentences, for preflight, plan and report. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from cco_migrate.forecast.asking import Cost, Forecast, Peak, read
from cco_migrate.forecast.blast_radius import BlastRadius
from cco_migrate.model import Basis

SHOWN_NAMES = 4


def rows(basis: Basis) -> tuple[tuple[str, str], ...]:
    """Return what was forecast as (heading, sentence); empty when the gateway was not asked."""
    if basis.forecast is None:
        return ()
    seen = read(basis.forecast)
    found = [("Recorded requests", matched(seen)), ("Live sessions", sessions(seen))]
    if basis.blast_radius is not None:
        radius = BlastRadius.from_json(basis.blast_radius)
        found.insert(0, ("Blast radius", reached(radius) or "nobody, as far as was recorded"))
    if seen.broken:
        found.append(("Would break", counted(seen.broken)))
    found += [("Rate limits", peak(one)) for one in seen.peaks]
    found.append(("Cost", cost(seen.cost)))
    return tuple(found)


def reached(radius: BlastRadius) -> str:
    """Return in one sentence who is reached; empty when no recorded request is."""
    if not radius.models:
        return ""
    clients = _listed(radius.clients) or "unnamed"
    return (
        f"{radius.requests_per_hour:g} requests an hour for {_listed(radius.models)}, "
        f"{_number(radius.sessions, 'session')}, clients: {clients} "
        f"(of the {radius.looked_at} newest recorded requests)"
    )


def matched(forecast: Forecast) -> str:
    """Return in one sentence what would become of the recorded requests."""
    text = f"{forecast.requests} recorded requests: {forecast.matched} match a rule"
    text += f", {forecast.overridden} would be overridden"
    if forecast.adapted:
        text += f"; adapted: {counted(forecast.adapted)}"
    if forecast.skipped:
        text += f"; skipped: {counted(forecast.skipped)}"
    return f"{text}; {sum(forecast.broken.values())} would break"


def sessions(forecast: Forecast) -> str:
    """Return in one sentence what the change means for sessions that are not over."""
    live = _number(forecast.conversations, "live session")
    text = f"{live}, {forecast.switched} would change the model"
    if not forecast.switched:
        return text
    return f"{text} (cache rewrites: ${forecast.switching_cost_usd:.4f})"


def peak(one: Peak) -> str:
    """Return in one sentence what the busiest minute would ask of a model."""
    asked = f"{one.requests} requests, {one.input_tokens} input and {one.output_tokens} output"
    text = f"busiest minute of {one.provider}/{one.model}: {asked} tokens"
    if one.limits is None:
        return f"{text}; the provider never told its limits"
    if over := exceeded(one):
        return f"{text}; over the provider's limits: {', '.join(over)}"
    return f"{text}, within the provider's limits"


def cost(forecast: Cost) -> str:
    """Return in one sentence what the recorded requests cost now and then."""
    if not forecast.priced:
        return "none of the recorded requests has a known price"
    change = forecast.then - forecast.now
    share = f" ({change / forecast.now * 100:+.1f} %)" if forecast.now else ""
    text = f"{forecast.priced} priced requests: ${forecast.then:.4f} instead of "
    text += f"${forecast.now:.4f}{share}"
    if forecast.interval is None:
        return f"{text}; too few sessions for an interval"
    low, high = forecast.interval
    text += f"; change between {_signed(low)} and {_signed(high)}"
    return f"{text} at {forecast.confidence:.0%} confidence"


def exceeded(one: Peak) -> tuple[str, ...]:
    """Return which of the provider's limits a peak would go over; empty when none, or unknown."""
    asked = {
        "requests": one.requests,
        "input_tokens": one.input_tokens,
        "output_tokens": one.output_tokens,
        "tokens": one.input_tokens + one.output_tokens,
    }
    limits = one.limits or {}
    return tuple(
        f"{name} {asked[name]} of {limit}"
        for name, limit in limits.items()
        if name in asked and asked[name] > limit
    )


def counted(counts: Mapping[str, int]) -> str:
    """Return "effort 8×, thinking 6×"."""
    return ", ".join(f"{name} {count}×" for name, count in counts.items())


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"


def _listed(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:SHOWN_NAMES])
    return shown if len(names) <= SHOWN_NAMES else f"{shown} and {len(names) - SHOWN_NAMES} more"


def _signed(usd: Decimal) -> str:
    return f"{'-' if usd < 0 else '+'}${abs(usd):.4f}"
