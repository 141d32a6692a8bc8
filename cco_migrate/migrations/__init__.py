"""Migrations by name: each kind makes a plan out of what it was given. Pure."""

from __future__ import annotations

from collections.abc import Callable

from cco_migrate.migrations import gateway_cutover, model_overrides
from cco_migrate.migrations.inputs import Inputs
from cco_migrate.model import Plan

__all__ = ["MIGRATIONS", "Inputs"]

MIGRATIONS: dict[str, Callable[[Inputs], Plan]] = {
    "model-overrides": model_overrides.plan,  # turn on [overrides] enabled on one gateway
    "gateway-cutover": gateway_cutover.plan,  # from the old proxy to the gateway, by phases
}
