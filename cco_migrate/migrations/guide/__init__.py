"""What a person does at each step, and what they should see: the words of the runbooks. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from cco_migrate.migrations.guide.gateway_cutover import CANARY, GATEWAY_CUTOVER
from cco_migrate.migrations.guide.hard_cutover import HARD
from cco_migrate.migrations.guide.model_overrides import MODEL_OVERRIDES
from cco_migrate.migrations.guide.words import Guide

GUIDES: Mapping[str, Mapping[str, Guide]] = {
    "model-overrides": MODEL_OVERRIDES,
    "gateway-cutover": GATEWAY_CUTOVER,
}
"""The steps of each kind of migration, by step id."""

_SHARE = re.compile(r"\Acanary-\d+")
_GROUP = re.compile(r"\Aremove-\d+\Z")


def guide_of(kind: str, step_id: str) -> Guide | None:
    """Return the words for a step; None when there are none for it."""
    guides = {**GUIDES.get(kind, {}), **(HARD if kind == "gateway-cutover" else {})}
    if step_id in guides or not _SHARE.match(step_id):
        return guides.get(_GROUP.sub("remove", step_id))
    name = _SHARE.sub("canary", step_id)
    return CANARY.get(name) or guides.get(name.removeprefix("canary-"))
