"""Looks at everything a gateway says of itself at one time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cco_migrate.gates.order import Order
from cco_migrate.judge.gate import Unmeasured
from cco_migrate.probes.counters import Counters
from cco_migrate.probes.footprint import footprint
from cco_migrate.probes.glances import Glance, attributed_counters
from cco_migrate.probes.instances import Health, Process, look_at_health, processes, providers
from cco_migrate.probes.site import Site
from cco_migrate.probes.tallies import tally_of

HEALTH_LOOKS = 8  # each over a connection of its own, so that several workers answer


@dataclass(frozen=True, slots=True)
class Look:
    """What the gateway said of itself at one time."""

    health: tuple[Health | Unmeasured, ...]
    processes: tuple[Process, ...] | Unmeasured
    providers: Mapping[str, bool] | Unmeasured
    counters: Counters | Unmeasured

    @property
    def seen(self) -> tuple[Health, ...]:
        """The looks at health that were answered."""
        return tuple(one for one in self.health if isinstance(one, Health))


def look_at(site: Site) -> Look:
    """Look at everything once; what does not answer is unmeasured, never an error."""
    health = tuple(look_at_health(site) for _ in range(HEALTH_LOOKS))
    found = processes(site)
    return Look(health, found, providers(site), attributed_counters(site))


def in_short(order: Order, site: Site, look: Look, *, ours: bool = False) -> Glance:
    """Return what a whole look says as a glance.

    Args:
        ours: Whether verification traffic ran since the look before.
    """
    up = len(look.seen) == len(look.health) and all(one.status == "ok" for one in look.seen)
    tally = tally_of(look.counters) if isinstance(look.counters, Counters) else None
    takes = footprint(order.home, site.world) if order.home else None
    return Glance(site.world.clock.now().timestamp(), up, tally, ours, takes)
