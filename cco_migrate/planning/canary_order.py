"""The canary that was asked for, from what was typed; and can each of its stages decide?

Reads the file of criteria and asks the gateway for its recorded requests.
"""

from __future__ import annotations

from collections.abc import Iterator

from cco_migrate.context import Context
from cco_migrate.durations import parse_duration
from cco_migrate.errors import InvalidInput
from cco_migrate.migrations import Inputs
from cco_migrate.migrations.canary import parse_shares, step_id
from cco_migrate.migrations.gateway_cutover import SOFT
from cco_migrate.migrations.inputs import Canary
from cco_migrate.planning import outlook, soak_forecast
from cco_migrate.planning.preflight import Line
from cco_migrate.session import MigrateOptions

SOAK = "30m"
"""How long each stage is watched when nothing else was asked for."""


def ordered(options: MigrateOptions, inputs: Inputs, context: Context) -> Canary | None:
    """Return the canary that was asked for; None when none was.

    Raises:
        InvalidInput: An option makes no sense, or belongs to a canary and there is none.
    """
    if not options.canary:
        if options.canary_soak:
            raise InvalidInput("--canary-soak: belongs to --canary, e.g. --canary 5,25,50")
        return None
    if options.phase != SOFT:
        raise InvalidInput(f"--canary: belongs to --phase {SOFT}; this is phase {options.phase}")
    shares, bake = parse_shares(options.canary), options.canary_soak or SOAK
    parse_duration(bake, "--canary-soak")
    waived = outlook.waivers(options.waive, soak_forecast.WAIVABLE)
    soak = soak_forecast.order(options, bake, waived, inputs, context)
    return None if soak is None else Canary(shares, soak)


def check_canary(canary: Canary, context: Context) -> Iterator[tuple[str, Line]]:
    """Yield what is foretold of each stage, with the id of its step.

    The recorded traffic of now is taken for that of all clients: a stage will see its share of it.
    """
    for share in canary.shares:
        title = f"canary of {share} %"
        for line in soak_forecast.check_soak(canary.soak, context, title=title, share=share / 100):
            yield step_id(share), line
