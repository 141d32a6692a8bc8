"""Measures the old path for phase 0, and the gateway beside it. Sends bounded requests."""

from __future__ import annotations

from collections.abc import Mapping

from cco_migrate.gates.baseline import pace_of_bursts, throughput
from cco_migrate.gates.kept import Kept
from cco_migrate.gates.looking import Look
from cco_migrate.gates.measured import Beside, Daemon, Measured
from cco_migrate.gates.order import Order
from cco_migrate.gates.verifying import STREAM_S, Waiting, planned, refused
from cco_migrate.judge.gate import Unmeasured
from cco_migrate.probes.instances import look_at_health
from cco_migrate.probes.proxied import through
from cco_migrate.probes.site import Site
from cco_migrate.probes.streams import Burst, send_burst
from cco_migrate.probes.windows import Window
from cco_migrate.world import World

_TELLS_NOTHING = Unmeasured("the old path tells nothing of itself")
_SILENT = Look((), _TELLS_NOTHING, _TELLS_NOTHING, _TELLS_NOTHING)
_NO_SYSTEMS: Mapping[str, Unmeasured] = {}


def capture(order: Order, world: World, waiting: Waiting, kept: Kept) -> Measured:
    """Send the streams over the old path, and the same to the gateway beside it, in turns.

    In turns, for whatever else happens meanwhile then happens to both.
    """
    unsent = "" if order.streams else "no verification traffic was asked for"
    why = _why_no_gateway(order, world)
    old: list[Burst] = []
    new: list[Burst] = []
    with through(order.proxy, world) as clients:
        for canaries in planned(order):
            waiting(f"baseline, {order.streams} streams", STREAM_S)
            old.append(send_burst(Site(order.url, clients), canaries, order.credential))
            if not why:
                new.append(send_burst(Site(order.gateway, world), canaries, order.credential))
            if refused(old[-1]):
                break
    waiting("", 0)
    return Measured(
        _SILENT,
        _SILENT,
        (),
        tuple(one for burst in old for one in burst.sent),
        unsent,
        _TELLS_NOTHING,
        Daemon(_TELLS_NOTHING, _TELLS_NOTHING),
        kept,
        Window({}),
        world.clock.now(),
        _NO_SYSTEMS,
        throughput=throughput(old),
        beside=Beside(pace_of_bursts(new), why),
    )


def _why_no_gateway(order: Order, world: World) -> str:
    """Return why no gateway is measured beside the old path; empty when one is."""
    if not order.gateway:
        return "no gateway was measured beside it"
    health = look_at_health(Site(order.gateway, world))
    return health.why if isinstance(health, Unmeasured) else ""
