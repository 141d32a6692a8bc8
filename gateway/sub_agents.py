"""Name the agents of requests by what all workers know: memory first, then the ledger's file.

A call that starts a sub-agent is in the file before the client learns of it, so that the child is
known to whichever worker it reaches, also after a reload. Only a sub-agent that this worker meets
for the first time is looked up; no request waits for that longer than for its record.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from functools import partial

import apsw

from gateway.agents import identity as agents
from gateway.agents.identity import Agent, AgentSource, Claims, DefinitionIndex
from gateway.agents.links import AgentLinks, Key, Name
from gateway.agents.spawns import Spawn, prompt_digest
from gateway.overrides.shape import name as clean
from gateway.store import links
from gateway.store.deadlines import COMMIT_WAIT_S
from gateway.store.ledger import Ledger
from gateway.wire.body import Body

log = logging.getLogger(__name__)


class SubAgents:
    """The sub-agents of all workers, as one of them sees them.

    Args:
        known: The agent definitions that system prompts are compared with.
        clock: Steady time, seconds.
        now_us: Time of day, microseconds since the epoch.
    """

    def __init__(
        self,
        ledger: Ledger,
        known: DefinitionIndex,
        *,
        clock: Callable[[], float] = time.monotonic,
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._ledger, self._known = ledger, known
        self._clock, self._now_us = clock, now_us
        self._memory = AgentLinks()

    def at_once(self, told: Claims, body: Body) -> Agent | None:
        """Return the agent of a main thread's request; None for one with a sub-agent's id."""
        return agents.identify(told, body, self._known) if told.agent_id is None else None

    async def identify(self, told: Claims, body: Body) -> Agent:
        """Return the agent of a request; a sub-agent keeps its first name."""
        key = agents.sub_agent(told, body)
        if key is None:
            return agents.identify(told, body, self._known)
        name = self._memory.name(key, self._clock())
        # Without a session id no two workers can mean the same agent; a hint comes with each turn.
        new = name is None and bool(key.session_id) and told.hint is None
        if new and not self._memory.unnamed(key, self._clock()):
            name = await self._look_up(key, body)
        linked = None if name is None else Agent(name.agent_type, AgentSource(name.source))
        agent = agents.identify(told, body, self._known, linked)
        if agent.source is not AgentSource.THREAD:
            self._remember(key, agent, write=new and name is None)
        return agent

    def expect(self, session_id: str, spawns: Iterable[Spawn]) -> asyncio.Future[bool]:
        """Note the children that a parent's answer starts; the future says when all workers know.

        Calls that the file does not take are kept for the children that come to this worker.
        """
        named = tuple(Spawn(clean(spawn.agent_type), spawn.prompt) for spawn in spawns)
        at_us = self._now_us()
        written = self._ledger.enqueue(lambda file: links.expect(file, session_id, named, at_us))

        def keep(done: asyncio.Future[bool]) -> None:
            if not done.cancelled() and not done.result():
                self._memory.observe(session_id, named, self._clock())

        written.add_done_callback(keep)
        return written

    async def _look_up(self, key: Key, body: Body) -> Name | None:
        """Return the name a sub-agent has, or its parent gave it; None when nobody knows it."""
        try:
            async with asyncio.timeout(COMMIT_WAIT_S):
                find = partial(links.find, key=key, now_us=self._now_us())
                linked = await self._ledger.look_up(find)
                if linked.name is not None:
                    return linked.name
                name = await self._claim(key, body) if linked.expected else None
        except (apsw.Error, TimeoutError) as error:
            reason = str(error) or "it takes too long"
            log.warning("sub-agent not looked up, the ledger cannot be asked: %s", reason)
            return self._claim_from_memory(key, body)
        name = name or self._claim_from_memory(key, body)
        if name is None:
            self._memory.remember_unnamed(key, self._clock())
        return name

    async def _claim(self, key: Key, body: Body) -> Name | None:
        """Take the call that started this child. Raises apsw.Error when that is not committed.

        Who does not wait for the end of it finds the name in the file, with the child's next turn.
        """
        prompt = agents.first_prompt(body)
        if prompt is None:
            return None
        found: Name | None = None
        digest, now_us = prompt_digest(prompt), self._now_us()

        def claim(file: apsw.Connection) -> None:
            nonlocal found
            found = links.claim(file, key, digest, AgentSource.PARENT.value, now_us)

        if not await self._ledger.write(claim):
            raise apsw.Error("the claim was not committed")
        return found

    def _claim_from_memory(self, key: Key, body: Body) -> Name | None:
        now = self._clock()
        if not self._memory.expects(key.session_id, now):
            return None  # decoding all messages is for children of a session that waits for some
        prompt = agents.first_prompt(body)
        digest = b"" if prompt is None else prompt_digest(prompt)
        found = self._memory.claim(key.session_id, digest, now)
        return None if found is None else Name(found, AgentSource.PARENT.value)

    def _remember(self, key: Key, agent: Agent, *, write: bool) -> None:
        """Keep an agent's name here and, when asked to, in the file, which nobody waits for."""
        name = Name(agent.type, agent.source.value)
        self._memory.remember(key, name, self._clock())
        if write:
            now_us = self._now_us()
            self._ledger.enqueue(lambda file: links.remember(file, key, name, now_us))
