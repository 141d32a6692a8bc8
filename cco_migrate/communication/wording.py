"""How each kind of migration is told to people who did not plan it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cco_migrate.model import Plan


@dataclass(frozen=True, slots=True)
class Wording:
    """How a kind of migration is told to people who did not plan it.

    Attributes:
        title: A noun.
        meaning: What it means for those who use the gateway, a sentence each.
    """

    title: str
    meaning: tuple[str, ...]


WORDINGS: Mapping[str, Wording] = {
    "model-overrides": Wording(
        "model overrides",
        (
            "The gateway answers requests for some models with other models, by fixed rules.",
            "Nothing has to be set up anew: clients go on asking for the models they know.",
            "A client's own cost display goes on counting at the price of the model it asked for.",
        ),
    ),
    "gateway-cutover": Wording(
        "gateway cutover",
        ("Requests take the gateway in place of the old proxy.",),
    ),
    "local-router": Wording(
        "local-first router",
        (
            "Requests may be answered by a model on this machine or by one in the cloud.",
            "Which one is decided by a policy, for each request.",
        ),
    ),
}
"""By kind of migration."""

CUTOVER: Mapping[int, Wording] = {
    1: Wording(
        "gateway cutover, phase 1",
        (
            "The gateway is validated beside the old proxy.",
            "Nothing changes for those who use either.",
        ),
    ),
    2: Wording(
        "gateway cutover, phase 2",
        (
            "Requests take the gateway in place of the old proxy.",
            "Answers stream: their first words arrive while the rest is still being written.",
            "The cost of every request is recorded, and so is the request itself, for the audit.",
            "Clients that run on take their old way until they are started anew.",
        ),
    ),
    3: Wording(
        "gateway cutover, phase 3",
        (
            "The old proxy is removed; nothing else changes for those who use the gateway.",
            "From then on no switch leads back to the proxy: it would have to be restored.",
        ),
    ),
}
"""By phase, where the plan of a cutover says which one it carries out."""


def wording_of(plan: Plan) -> Wording:
    """Return the words for a plan; raises KeyError for a kind, or a phase, that has none."""
    phases = [int(step.params["phase"]) for step in plan.steps if "phase" in step.params]
    if plan.kind == "gateway-cutover" and phases:
        return CUTOVER[max(phases)]
    return WORDINGS[plan.kind]
