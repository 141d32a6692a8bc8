"""Says what the gateway's forecast means for a plan, as lines of the preflight. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from cco_migrate.errors import InvalidInput
from cco_migrate.forecast.asking import Cost, Forecast, Peak
from cco_migrate.forecast.text import cost, counted, exceeded, matched, peak, sessions
from cco_migrate.planning.preflight import Line, Mark

BROKEN, REHEARSED = "broken-requests", "rollback-rehearsed"
WAIVABLE: Mapping[str, str] = {
    BROKEN: "requests for which no provider could be asked under the new rules",
    REHEARSED: "a cutover whose ways back were not rehearsed of late, on these files",
}
"""The failed checks a person may waive, by name."""


def waivers(text: str, criteria: Collection[str] = ()) -> frozenset[str]:
    """Return the names in a comma-separated list; raises InvalidInput for an unknown one.

    Args:
        criteria: What can be waived beside the checks of the preflight.
    """
    names = frozenset(name.strip() for name in text.split(",") if name.strip())
    known = (*WAIVABLE, *criteria)
    if unknown := sorted(names.difference(known)):
        raise InvalidInput(f"--waive {', '.join(unknown)}: unknown; there is: {', '.join(known)}")
    return names


def check_forecast(forecast: Forecast, waived: Collection[str]) -> list[Line]:
    """Say what would become of the recorded requests; one that would break is a FAIL."""
    if not forecast.requests:
        text = "no request was recorded yet: whether a rule matches real traffic is unknown"
        return [Line(Mark.WARN, text)]
    lines = [Line(Mark.OK, matched(forecast))]
    if forecast.broken:
        lines.append(_broken(forecast, waived))
    if forecast.limits_unknown:
        text = f"{forecast.limits_unknown} overridden requests go to models of which it is not"
        lines.append(Line(Mark.WARN, f"{text} known what they accept"))
    lines.append(Line(Mark.OK, sessions(forecast)))
    lines += [_peak(peak) for peak in forecast.peaks]
    lines.append(_cost(forecast.cost))
    return lines


def _broken(forecast: Forecast, waived: Collection[str]) -> Line:
    text = f"{sum(forecast.broken.values())} recorded requests would break under the new rules: "
    text += counted(forecast.broken)
    if BROKEN in waived:
        return Line(Mark.WARN, f"{text}; waived by --waive {BROKEN}")
    return Line(Mark.FAIL, f"{text}; change the rules, or accept it with --waive {BROKEN}")


def _peak(one: Peak) -> Line:
    if one.limits is None:
        return Line(Mark.NOT_APPLICABLE, peak(one))
    return Line(Mark.WARN if exceeded(one) else Mark.OK, peak(one))


def _cost(forecast: Cost) -> Line:
    return Line(Mark.OK if forecast.priced else Mark.NOT_APPLICABLE, cost(forecast))
