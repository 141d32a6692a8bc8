"""What may be asked of the what-if, and the configuration that it means. Pure.

The types are the description, too: the OpenAPI document is made of them.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from gateway.config.settings import OnTargetDown, Settings
from gateway.errors import RequestError
from gateway.overrides.rollout import ApplyTo, Rollout
from gateway.wire.decoding import UNREADABLE

MAX_REQUESTS, MAX_DECISIONS = 200_000, 10_000

_Model = Annotated[str, Meta(min_length=1, max_length=200)]
_Percent = Annotated[float, Meta(ge=0, le=100)]
_Seconds = Annotated[float, Meta(gt=0, le=604_800)]
_Time = Annotated[datetime, Meta(tz=True)]
_Limit = Annotated[int, Meta(ge=1, le=MAX_REQUESTS)]


def _told(text: str) -> Meta:
    return Meta(description=text)


class AskedOverrides(msgspec.Struct, forbid_unknown_fields=True):
    """Rules to try, as `model-overrides.toml` has them."""

    rules: Annotated[
        list[tuple[_Model, _Model]], _told("From one model to another; the first match counts.")
    ] = []
    agent_rules: Annotated[dict[str, _Model], _told("The model of an agent type.")] = {}


class AskedRollout(msgspec.Struct, forbid_unknown_fields=True):
    """A rollout to try, as `[overrides_rollout]` of `gateway.toml` has it."""

    apply_to: Annotated[ApplyTo, _told("Whom a changed rule reaches.")] = ApplyTo.ALL
    percent: Annotated[_Percent, _told("Share of sessions.")] = 100
    holdout_percent: Annotated[_Percent, _told("Share of sessions that never are.")] = 0
    agents: Annotated[list[str], _told("Only these agent types; empty for all.")] = []
    projects: Annotated[list[str], _told("Only these projects; empty for all.")] = []
    session_idle_s: Annotated[
        _Seconds, _told("After so many seconds without a request a session counts as ended.")
    ] = 3600
    on_target_down: Annotated[
        OnTargetDown, _told("What becomes of a request whose target is in trouble.")
    ] = OnTargetDown.ORIGINAL


class Question(msgspec.Struct, forbid_unknown_fields=True):
    """What to try, and on which requests."""

    overrides: Annotated[
        AskedOverrides | None,
        _told("Rules to try; those of the configuration, as if they were on, when left out."),
    ] = None
    rollout: Annotated[
        AskedRollout | None, _told("How to roll them out; as configured when left out.")
    ] = None
    start_time: Annotated[
        _Time | None, _told("Earliest arrival; the first that `limit` leaves when left out.")
    ] = None
    end_time: Annotated[_Time | None, _told("Latest arrival; now when left out.")] = None
    limit: Annotated[_Limit, _told("Look at so many of the latest requests.")] = 50_000
    decisions: Annotated[
        bool, _told(f"Whether to return what would be done with each, at most {MAX_DECISIONS}.")
    ] = False


_decode = msgspec.json.Decoder(Question).decode


def read(body: bytes) -> Question:
    """Return what a body asks; an empty one asks nothing special. Raises RequestError (400)."""
    try:
        return _decode(body or b"{}")
    except UNREADABLE as error:
        raise RequestError(400, "invalid_request_error", f"what-if: {error}") from None


def tried(settings: Settings, question: Question) -> Settings:
    """Return the configuration with what is to be tried, switched on."""
    overrides = replace(settings.overrides, enabled=True)
    if question.overrides is not None:
        rules, agents = question.overrides.rules, question.overrides.agent_rules
        overrides = replace(overrides, rules=tuple(rules), agent_rules=tuple(agents.items()))
    if question.rollout is not None:
        asked = question.rollout
        rollout = Rollout(
            apply_to=asked.apply_to,
            percent=asked.percent,
            holdout_percent=asked.holdout_percent,
            agents=tuple(asked.agents),
            projects=tuple(asked.projects),
            idle_s=asked.session_idle_s,
        )
        overrides = replace(overrides, rollout=rollout, on_target_down=asked.on_target_down)
    return replace(settings, overrides=overrides)
