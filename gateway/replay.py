"""Decide recorded requests again under other rules. Pure: state driven by records in their order.

The decision is made by the code that serves, from what the records keep; no body is needed. A
window is looked at as if the rules had changed at its start: conversations begun before are live.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.agents.identity import MAIN, Agent, AgentSource
from gateway.candidates import Asked, Policy
from gateway.store.conversations import ConversationKey
from gateway.store.recorded import Recorded
from gateway.store.records import WIRES, Endpoint


@dataclass(frozen=True, slots=True)
class Decision:
    """What would be done with one request.

    Attributes:
        chosen: The model the rules choose.
        provider: Who would be asked first.
        model: That provider's name of it.
        matched: Whether a rule matches.
        adapted: What would be changed, one word each.
        left: Why a matching rule would not be applied; None when it would, or none matches.
        broken: Why the provider cannot be asked at all; None when it can.
        limits_known: Whether it is known what the model accepts.
        switched: Whether the conversation ran on another model until here.
    """

    requested: str
    chosen: str
    provider: str
    model: str
    matched: bool
    adapted: tuple[str, ...]
    left: str | None
    broken: str | None
    limits_known: bool
    switched: bool

    @property
    def overridden(self) -> bool:
        """Whether another model than the requested one would be asked."""
        return self.chosen != self.requested


@dataclass(frozen=True, slots=True)
class Turn:
    """The latest request of a conversation, and the model it would run on."""

    recorded: Recorded
    chosen: str


class Replay:
    """Takes the requests of a window in the order of their arrival.

    Args:
        start_us: When the rules are taken to have changed, microseconds since the epoch.
    """

    def __init__(self, policy: Policy, start_us: int) -> None:
        self._policy, self._start_us = policy, start_us
        self._idle_us = round(policy.rollout.idle_s * 1_000_000)
        self._turns: dict[ConversationKey, Turn] = {}

    def decide(self, recorded: Recorded) -> Decision | None:
        """Return what would be done; None when the request was refused before it was routed."""
        requested, key = recorded.requested, recorded.conversation
        if requested is None or recorded.chosen is None:
            return None
        asked = _asked(recorded, requested)
        before = self._running_on(recorded)
        bound = before if self._policy.asks_for_binding(asked) else None
        choice = self._policy.choose(asked, bound)
        first = choice.candidates[0]
        if key is not None and recorded.endpoint is not Endpoint.COUNT_TOKENS:
            self._turns[key] = Turn(recorded, first.chosen)
        return Decision(
            requested=requested,
            chosen=first.chosen,
            provider=first.link.name,
            model=first.model,
            matched=self._policy.overrides.target(requested, asked.agent.type) is not None,
            adapted=first.adaptation.words,
            left=choice.left,
            broken=first.link.problem,
            limits_known=self._policy.capability(first) is not None,
            switched=before is not None and before != first.chosen,
        )

    def live(self, now_us: int) -> Iterable[Turn]:
        """Return the conversations that have not been idle for too long."""
        turns = self._turns.values()
        return [turn for turn in turns if turn.recorded.at_us >= now_us - self._idle_us]

    def _running_on(self, recorded: Recorded) -> str | None:
        """Return the model a live conversation runs on; None when the request begins one."""
        key = recorded.conversation
        if key is None:
            return None
        turn = self._turns.get(key)
        if turn is None:
            began_us = recorded.began_us
            known = began_us is not None and began_us < self._start_us
            return recorded.chosen if known else None
        idle_us = recorded.at_us - turn.recorded.at_us
        return turn.chosen if idle_us <= self._idle_us else None


def _asked(recorded: Recorded, requested: str) -> Asked:
    source = AgentSource.THREAD
    if recorded.agent_source is not None:
        source = AgentSource(recorded.agent_source)
    return Asked(
        agent=Agent(recorded.agent_type or MAIN, source),
        requested=requested,
        shape=recorded.shape,
        unit=recorded.session_id or recorded.request_id,
        project=recorded.project_id,
        subscription=recorded.subscription,
        wire=WIRES[recorded.endpoint],
    )
