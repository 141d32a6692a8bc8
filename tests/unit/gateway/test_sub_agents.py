"""Children are named by whichever worker they reach; two ledgers on one file are two workers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from gateway.agents.identity import Agent, AgentSource, Definition, DefinitionIndex, claims
from gateway.agents.spawns import Spawn, prompt_digest
from gateway.store.ledger import Ledger
from gateway.store.opening import connect
from gateway.sub_agents import SubAgents
from gateway.wire.body import Body
from gateway.wire.http import Head, Header

DIGGER = Agent("digger", AgentSource.PARENT)
NOBODY = Agent("subagent", AgentSource.THREAD)
KNOWN = DefinitionIndex([Definition("reviewer", "Review it.")])
CALL = (Spawn("digger", prompt_digest("dig")),)
DEADLINE_S = 60.0


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow machine is no fault."""
    monkeypatch.setattr("gateway.sub_agents.COMMIT_WAIT_S", DEADLINE_S)


class Worker:
    """One worker's view, and the ledger under it."""

    def __init__(self, home: Path) -> None:
        self.ledger = Ledger(home / "ledger.db", keep_entries=True)
        self.sub_agents = SubAgents(self.ledger, KNOWN)

    async def asked_by(
        self, agent_id: str, prompt: str = "dig", session: str = "s1", **fields: Any
    ) -> Agent:
        headers = {"x-claude-code-agent-id": agent_id, "x-claude-code-session-id": session}
        hint = fields.pop("hint", None)
        if hint is not None:
            headers["x-claude-code-agent-type"] = hint
        pairs = tuple((name.encode(), value.encode()) for name, value in headers.items() if value)
        messages = [{"role": "user", "content": prompt}]
        body = Body(json.dumps({"model": "m", "messages": messages} | fields).encode())
        told = claims(Head(b"POST", b"/v1/messages", pairs))
        return await self.sub_agents.identify(told, body)


def with_workers(home: Path, scenario: Callable[[Worker, Worker], Awaitable[None]]) -> None:
    async def main() -> None:
        one, two = Worker(home), Worker(home)
        try:
            await scenario(one, two)
        finally:
            await one.ledger.close()
            await two.ledger.close()

    asyncio.run(main())


def test_child_of_another_workers_parent_is_named_once(tmp_path: Path) -> None:
    async def scenario(one: Worker, two: Worker) -> None:
        assert await one.sub_agents.expect("s1", CALL)
        assert await two.asked_by("a1") == DIGGER
        assert await one.asked_by("a1", "its next turn") == DIGGER, "the name sticks everywhere"
        assert await one.asked_by("a2") == NOBODY, "a call is claimed once"

    with_workers(tmp_path, scenario)


def test_of_two_children_on_two_workers_one_gets_the_call(tmp_path: Path) -> None:
    async def scenario(one: Worker, two: Worker) -> None:
        for n in range(10):
            session = f"s{n}"
            assert await one.sub_agents.expect(session, CALL)
            found = await asyncio.gather(
                one.asked_by("a1", session=session), two.asked_by("a2", session=session)
            )
            assert sorted(agent.type for agent in found) == ["digger", "subagent"]

    with_workers(tmp_path, scenario)


def test_one_child_on_two_workers_at_once_has_one_name(tmp_path: Path) -> None:
    async def scenario(one: Worker, two: Worker) -> None:
        calls = (*CALL, Spawn("other", prompt_digest("dig")))
        assert await one.sub_agents.expect("s1", calls)
        found = await asyncio.gather(one.asked_by("a1"), two.asked_by("a1"), one.asked_by("a1"))
        assert set(found) == {DIGGER}
        assert (await two.asked_by("a2")).type == "other"

    with_workers(tmp_path, scenario)


def test_name_and_call_outlive_the_workers(tmp_path: Path) -> None:
    async def before(one: Worker, two: Worker) -> None:
        assert await one.sub_agents.expect("s1", (*CALL, *CALL))
        assert await two.asked_by("a1") == DIGGER

    async def after(one: Worker, two: Worker) -> None:
        assert await one.asked_by("a1", "its next turn") == DIGGER
        assert await two.asked_by("a2") == DIGGER

    with_workers(tmp_path, before)
    with_workers(tmp_path, after)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"hint": "Explore"}, Agent("Explore", AgentSource.HINT)),
        ({"agent_type": "qa"}, Agent("qa", AgentSource.BODY)),
        ({"session": ""}, NOBODY),
        ({"session": "s2"}, NOBODY),
        ({"prompt": "something else"}, NOBODY),
        ({"messages": []}, NOBODY),
        ({"hint": "custom"}, DIGGER),
        ({"system": "Review it."}, DIGGER),
        ({"system": "Review it.", "prompt": "x"}, Agent("reviewer", AgentSource.DEFINITION)),
    ],
)
def test_stronger_signals_and_strangers_take_no_call(
    tmp_path: Path, fields: dict[str, Any], expected: Agent
) -> None:
    async def scenario(one: Worker, two: Worker) -> None:
        assert await one.sub_agents.expect("s1", CALL)
        assert await two.asked_by("a1", **fields) == expected
        assert await two.asked_by("a2") == (NOBODY if expected == DIGGER else DIGGER)

    with_workers(tmp_path, scenario)


@pytest.mark.parametrize("named", [(), ((b"x-agent-type", b"lead"),)], ids=["unnamed", "named"])
def test_only_a_main_threads_agent_is_known_at_once(
    tmp_path: Path, named: tuple[Header, ...]
) -> None:
    body = Body(b'{"model": "m", "messages": []}')
    main, child = (
        claims(Head(b"POST", b"/v1/messages", named + more))
        for more in ((), ((b"x-claude-code-agent-id", b"a1"),))
    )

    async def scenario(one: Worker, _: Worker) -> None:
        assert one.sub_agents.at_once(main, body) == await one.sub_agents.identify(main, body)
        assert one.sub_agents.at_once(child, body) is None

    with_workers(tmp_path, scenario)


def test_name_by_another_signal_sticks_on_all_workers(tmp_path: Path) -> None:
    async def scenario(one: Worker, two: Worker) -> None:
        reviewer = Agent("reviewer", AgentSource.DEFINITION)
        assert await one.asked_by("a1", system="Review it.") == reviewer
        await one.ledger.write(lambda _: None)  # nobody waited for the name's commit
        assert await two.asked_by("a1") == reviewer

    with_workers(tmp_path, scenario)


def test_agent_nobody_knows_is_looked_up_once(tmp_path: Path) -> None:
    async def scenario(one: Worker, two: Worker) -> None:
        assert await one.asked_by("a1") == NOBODY
        assert await two.sub_agents.expect("s1", CALL)
        assert await one.asked_by("a1") == NOBODY, "only its first request is its parent's prompt"
        reviewer = Agent("reviewer", AgentSource.DEFINITION)
        assert await one.asked_by("a1", system="Review it.") == reviewer

    with_workers(tmp_path, scenario)


def test_call_is_kept_without_its_prompt_and_with_a_clean_name(tmp_path: Path) -> None:
    async def scenario(one: Worker, two: Worker) -> None:
        secret = Spawn("a\nsk-ant-api03-abcdefghij" + "x" * 999, prompt_digest("top secret plan"))
        assert await one.sub_agents.expect("s1", (secret,))
        agent = await two.asked_by("a1", "top secret plan")
        assert len(agent.type) <= 200
        assert "abcdefghij" not in agent.type
        assert "\n" not in agent.type

    with_workers(tmp_path, scenario)
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("ledger.db*"))
    assert b"secret plan" not in kept
    assert b"abcdefghij" not in kept


def test_call_the_file_does_not_take_is_kept_by_the_worker(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def drop(file: apsw.Connection) -> None:
        file.execute("DROP TABLE spawns")

    async def scenario(one: Worker, two: Worker) -> None:
        assert await one.ledger.write(drop)
        assert not await one.sub_agents.expect("s1", CALL)
        assert await two.asked_by("a1") == NOBODY
        assert await one.asked_by("a2") == DIGGER
        assert await one.asked_by("a2", "its next turn") == DIGGER
        assert await one.asked_by("a3") == NOBODY, "a call is claimed once"
        assert await one.asked_by("a4", session="s2") == NOBODY

    with_workers(tmp_path, scenario)
    assert "sub-agent not looked up" in caplog.text


def test_locked_file_delays_a_child_for_a_moment_and_it_is_named_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.sub_agents.COMMIT_WAIT_S", 0.05)
    monkeypatch.setattr("gateway.store.opening.BUSY_S", 2 * DEADLINE_S)

    async def scenario(one: Worker, two: Worker) -> None:
        assert await one.sub_agents.expect("s1", CALL)
        other = connect(tmp_path / "ledger.db")
        other.execute("BEGIN IMMEDIATE")
        async with asyncio.timeout(DEADLINE_S):  # the writer itself waits longer for the lock
            assert await two.asked_by("a1") == NOBODY
        other.execute("ROLLBACK")
        other.close()
        monkeypatch.setattr("gateway.sub_agents.COMMIT_WAIT_S", DEADLINE_S)
        assert await two.ledger.write(lambda _: None)  # the claim was queued before it
        assert await two.asked_by("a1") == DIGGER

    with_workers(tmp_path, scenario)
