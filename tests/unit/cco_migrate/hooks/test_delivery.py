"""Hooks: told what they asked for, without secrets; whatever they do, the run does not notice."""

from __future__ import annotations

import errno
import hashlib
import hmac
import json
import sys
import threading
import types
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
from jsonschema import Draft202012Validator

from cco_migrate import resources
from cco_migrate.context import Context, Outcome
from cco_migrate.engine import Engine
from cco_migrate.errors import LockLost, RolledBack
from cco_migrate.hooks.definitions import POINTS, Hook, Kind, Point, event_of
from cco_migrate.hooks.delivery import Announcer, signature
from cco_migrate.model import Instance, JsonObject, Plan, Step
from cco_migrate.runs.journal import Entry, Event, Journal, Status
from cco_migrate.runs.store import Run
from cco_migrate.steps import ACTIONS
from cco_migrate.verdict import Judgement, Verdict
from cco_migrate.world import Files, World

ALL = frozenset(Point)
SECRET = "do-not-write-me-down"


class Flip:
    """An action and a check in one: it changes nothing, and judges as it was told."""

    def __init__(self, verdict: Verdict = Verdict.GO) -> None:
        self.verdict = verdict

    def prepare(self, step: Step, context: Context) -> JsonObject:
        return {}

    def apply(self, step: Step, receipt: JsonObject, context: Context) -> Outcome:
        return Outcome("flipped", {})

    def undo(self, step: Step, receipt: JsonObject, context: Context) -> str:
        return "flipped back"

    def measure(self, step: Step, receipt: JsonObject, context: Context) -> JsonObject:
        return {}

    def judge(self, step: Step, facts: JsonObject) -> Judgement:
        return Judgement(step.id, self.verdict, f"judged {self.verdict}", {})


class Silent:
    """Shows nobody anything."""

    def step_begins(self, step: Step) -> None:
        """Nothing."""

    def waiting(self, what: str, timeout_s: float) -> None:
        """Nothing."""

    def step_ends(self, step: Step, *, verdict: str, summary: str, seconds: float) -> None:
        """Nothing."""


@pytest.fixture
def plan(instance_at: Callable[[str], Instance], closed_port: int) -> Plan:
    steps = (Step(1, "edit", "edit", "files.edit"), Step(2, "look", "look", "config.exists"))
    instance = instance_at(f"http://127.0.0.1:{closed_port}")
    return Plan("model-overrides", instance, steps, (), (), "before", "after")


@pytest.fixture
def journal(tmp_path: Path, world: World, plan: Plan) -> Journal:
    (tmp_path / "run").mkdir()
    made = Journal(tmp_path / "run" / "journal.jsonl", "mo-1", world)
    made.append(Event.PLANNED, reason=plan.digest)
    return made


def run(
    plan: Plan, journal: Journal, world: World, hooks: list[Hook], verdict: Verdict = Verdict.GO
) -> list[str]:
    """Carry the plan out; return what the operator was shown of the hooks."""
    said: list[str] = []
    flip = Flip(verdict)
    carried = Run("mo-1", plan, journal, journal.path.parent)
    engine = Engine(
        plan, journal, world, Silent(), dict,
        actions={**ACTIONS, "files.edit": flip}, checks={"config.exists": flip},
        announce=Announcer(hooks, carried, world, said.append),
    )  # fmt: skip
    engine.run()
    return said


def told(journal: Journal) -> list[str]:
    """What the journal on disk says of the hooks."""
    entries = Journal(journal.path, journal.run, journal.world).entries
    lines = [entry.data for entry in entries if entry.event is Event.TOLD]
    for line in lines:
        assert entries[line["seq"]].event.value == line["event"]
    return [
        f"{line['event']}: {row['hook']}: {row['fault'] or 'told'}"
        for line in lines
        for row in line["hooks"]
    ]


@pytest.fixture
def inbox(serve: Callable[..., str]) -> tuple[str, list[JsonObject]]:
    """A receiver, and the events it got, each checked against the schema."""
    got: list[JsonObject] = []
    validator = Draft202012Validator(resources.schema("hook-event"))

    def receive(method: str, target: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        event = json.loads(body)
        validator.validate(event)
        assert (method, target) == ("POST", "/told")
        got.append(event)
        return 200, {}, b""

    return serve(receive) + "/told", got


def test_webhook_is_told_every_point_of_a_run_in_order(
    plan: Plan, journal: Journal, world: World, inbox: tuple[str, list[JsonObject]]
) -> None:
    url, got = inbox
    assert run(plan, journal, world, [Hook(Kind.WEBHOOK, ALL, url=url)]) == []
    assert [(e["point"], e["event"], (e["step"] or {}).get("id"), e["verdict"]) for e in got] == [
        ("before_step", "applying", "edit", None),
        ("after_step", "applied", "edit", None),
        ("before_step", "prepared", "look", None),
        ("gate", "judged", "look", "GO"),
        ("finished", "finished", None, None),
    ]
    assert told(journal) == [f"{event['event']}: webhook 127.0.0.1: told" for event in got]
    assert [event["id"] for event in got] == [
        f"mo-1/{entry.seq}" for entry in journal.entries
        if entry.event in POINTS and not (entry.event is Event.PREPARED and entry.step == "edit")
    ]  # fmt: skip
    assert Journal(journal.path, "mo-1", world).entries == journal.entries


def test_rollback_is_told_as_it_begins_and_as_it_ends(
    plan: Plan, journal: Journal, world: World, inbox: tuple[str, list[JsonObject]]
) -> None:
    url, got = inbox
    hook = Hook(Kind.WEBHOOK, frozenset({Point.ROLLBACK}), url=url)
    with pytest.raises(RolledBack):
        run(plan, journal, world, [hook], Verdict.NO_GO)
    assert [event["event"] for event in got] == ["rolling-back", "rolled-back"]
    assert "judged NO-GO" in got[0]["summary"]


@pytest.mark.parametrize("point", list(Point))
def test_hook_is_told_only_what_it_asked_for(
    plan: Plan, journal: Journal, world: World, inbox: tuple[str, list[JsonObject]], point: Point
) -> None:
    url, got = inbox
    with pytest.raises(RolledBack):
        run(plan, journal, world, [Hook(Kind.WEBHOOK, frozenset({point}), url=url)], Verdict.NO_GO)
    assert {event["point"] for event in got} == {point.value}


def test_command_finds_the_event_in_its_environment(
    plan: Plan, journal: Journal, world: World, tmp_path: Path
) -> None:
    out = tmp_path / "event.json"
    script = "import os, sys; open(sys.argv[1], 'w').write(os.environ['CCO_HOOK_EVENT'])"
    command = (sys.executable, "-c", script, str(out))
    run(plan, journal, world, [Hook(Kind.COMMAND, frozenset({Point.FINISHED}), command)])
    event = json.loads(out.read_text())
    Draft202012Validator(resources.schema("hook-event")).validate(event)
    assert (event["event"], event["instance"]) == ("finished", "test")


def test_request_is_signed_with_the_secret_and_the_time(
    plan: Plan, journal: Journal, world: World, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text(f"{SECRET}\n")
    hook = Hook(Kind.WEBHOOK, ALL, url="https://h/", secret=f"file:{secret}")
    expected = hmac.new(SECRET.encode(), b"17.{}", hashlib.sha256).hexdigest()
    assert signature(hook, "17", b"{}") == f"sha256={expected}"


FAULTS: dict[str, tuple[Hook, str]] = {
    "exit": (Hook(Kind.COMMAND, ALL, ("sh", "-c", f"echo {SECRET}; exit 3")), "ended with 3"),
    "absent": (Hook(Kind.COMMAND, ALL, ("no-such-command",)), "ended with 127"),
    "slow": (Hook(Kind.COMMAND, ALL, ("sleep", "60"), timeout_s=0.1), "did not end within"),
    "unset": (Hook(Kind.WEBHOOK, ALL, url="env:CCO_TEST_UNSET"), "is empty or not set"),
    "unsigned": (Hook(Kind.WEBHOOK, ALL, url="http://h/", secret="file:/no"), "cannot be read"),
    "no host": (Hook(Kind.WEBHOOK, ALL, url="http:///x"), "UnsupportedProtocol"),
    "no extra": (Hook(Kind.APPRISE, ALL, url="env:HOME"), "Apprise is not installed"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_hook_that_fails_is_written_down_and_the_run_is_done(
    plan: Plan, journal: Journal, world: World, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    hook, why = FAULTS[fault]
    said = run(plan, journal, world, [hook])
    assert journal.state is not None
    assert journal.state.status is Status.DONE
    assert why in told(journal)[0]
    assert why in said[0]
    for path in journal.path.parent.iterdir():
        assert SECRET not in path.read_text()


class NoRoomForHooks(Files):
    """A disk that is full whenever it should hold what hooks did."""

    def append(self, path: Path, data: bytes) -> None:
        if b'"event":"told"' in data:
            super().append(path, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        super().append(path, data)


def test_full_disk_stops_no_run(
    plan: Plan, journal: Journal, world: World, inbox: tuple[str, list[JsonObject]]
) -> None:
    journal.world = replace(world, files=NoRoomForHooks())
    said = run(plan, journal, world, [Hook(Kind.WEBHOOK, ALL, url=inbox[0])])
    assert len(inbox[1]) == 5
    assert "No space left on device; what hooks did is not written down" in said[0]
    assert told(journal) == []
    assert journal.state is not None
    assert journal.state.status is Status.DONE


def test_hooks_of_a_run_that_was_taken_over_write_nothing_into_it(
    plan: Plan, journal: Journal, world: World, inbox: tuple[str, list[JsonObject]]
) -> None:
    said: list[str] = []

    def lost() -> None:
        raise LockLost("it was taken over by op@elsewhere")

    carried = Run("mo-1", plan, journal, journal.path.parent)
    hook = Hook(Kind.WEBHOOK, ALL, url=inbox[0])
    Announcer([hook], carried, world, said.append, lost)(journal.append(Event.FINISHED))
    assert [event["event"] for event in inbox[1]] == ["finished"]
    assert told(journal) == []
    assert said == ["  hook  it was taken over by op@elsewhere; what hooks did is not written down"]


def test_journaled_hooks_change_nothing_of_the_run(journal: Journal) -> None:
    journal.append(Event.APPLYING, "edit", reason="r")
    before = journal.state
    journal.append(Event.TOLD, "edit", reason="0 of 1 told", data={"seq": 1, "hooks": []})
    assert journal.state == before


@pytest.mark.parametrize(("status", "why"), [(500, "answered 500"), (302, "answered 302")])
def test_answer_that_is_no_success_is_a_fault(
    plan: Plan, journal: Journal, world: World, serve: Callable[..., str], status: int, why: str
) -> None:
    url = serve(lambda *_: (status, {"location": "/elsewhere"}, b""))
    hook = Hook(Kind.WEBHOOK, frozenset({Point.FINISHED}), url=url)
    assert run(plan, journal, world, [hook]) == [f"  hook  webhook 127.0.0.1: {why}"]


def test_server_that_never_answers_delays_a_run_once_and_is_told_the_end(
    plan: Plan, journal: Journal, world: World, serve: Callable[..., str]
) -> None:
    over, asked = threading.Event(), []

    def hang(_method: str, _target: str, body: bytes) -> tuple[int, dict[str, str], list[None]]:
        asked.append(json.loads(body)["event"])
        over.wait(60)
        return 200, {}, [None]

    hook = Hook(Kind.WEBHOOK, ALL, url=serve(hang), timeout_s=0.2)
    try:
        run(plan, journal, world, [hook])
    finally:
        over.set()
    # The last request may have been given up before its server had a turn to read it.
    assert world.clock.wait_until(lambda: len(asked) >= 2, 60)
    assert asked == ["applying", "finished"]
    assert len(told(journal)) == 2


def test_hooks_are_told_at_the_same_time(
    plan: Plan, journal: Journal, world: World, serve: Callable[..., str]
) -> None:
    both = threading.Barrier(2, timeout=60)

    def meet(*_: object) -> tuple[int, dict[str, str], bytes]:
        both.wait()  # one after the other would never get past here
        return 200, {}, b""

    url = serve(meet)
    hooks = [
        Hook(Kind.WEBHOOK, frozenset({Point.FINISHED}), url=url, timeout_s=timeout_s)
        for timeout_s in (60, 61)
    ]
    assert run(plan, journal, world, hooks) == []


class Sender:
    """Stands in for Apprise, which is an extra."""

    sent: ClassVar[list[tuple[str, str]]] = []

    def __init__(self) -> None:
        self.url = ""

    def add(self, url: str) -> bool:
        self.url = url
        return url.startswith("json://")

    def notify(self, *, title: str, body: str) -> bool:
        self.sent.append((title, body))
        return True


@pytest.mark.parametrize(
    ("url", "end"), [("json://h/", "told"), (f"odd://{SECRET}", "not an address Apprise knows")]
)
def test_apprise_is_given_title_and_text(
    plan: Plan, journal: Journal, world: World, monkeypatch: pytest.MonkeyPatch, url: str, end: str
) -> None:
    module = types.ModuleType("apprise")
    monkeypatch.setattr(module, "Apprise", Sender, raising=False)
    monkeypatch.setattr(Sender, "sent", [])
    monkeypatch.setitem(sys.modules, "apprise", module)
    monkeypatch.setenv("CCO_TEST_URL", url)
    hook = Hook(Kind.APPRISE, frozenset({Point.FINISHED}), url="env:CCO_TEST_URL")
    run(plan, journal, world, [hook])
    assert told(journal) == [f"finished: apprise env:CCO_TEST_URL: {end}"]
    sent = [("cco-migrate: finished (test, run mo-1)", "GO")] if end == "told" else []
    assert Sender.sent == sent


@pytest.mark.real
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Apprise's own imports
def test_real_apprise_delivers(
    plan: Plan, journal: Journal, world: World, monkeypatch: pytest.MonkeyPatch,
    serve: Callable[..., str],
) -> None:  # fmt: skip
    got: list[JsonObject] = []

    def receive(_method: str, _target: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        got.append(json.loads(body))
        return 200, {}, b""

    url = serve(receive).replace("http://", "json://")
    monkeypatch.setenv("CCO_TEST_URL", url + f"/?+x-key={SECRET}")
    hook = Hook(Kind.APPRISE, frozenset({Point.FINISHED}), url="env:CCO_TEST_URL", timeout_s=30)
    assert run(plan, journal, world, [hook]) == []
    assert [event["title"] for event in got] == ["cco-migrate: finished (test, run mo-1)"]
    assert SECRET not in journal.path.read_text()


def test_event_of_a_restore_has_no_title(plan: Plan) -> None:
    entry = Entry(4, "now", 0, "mo-1", "restore", Event.UNDONE, "x" * 2000)
    event = event_of(entry, plan, Point.AFTER_STEP)
    Draft202012Validator(resources.schema("hook-event")).validate(event)
    assert event["step"] == {"id": "restore", "title": ""}
