"""The report: what a reader of either form is told, for every way a run can stand."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import jsonschema
import pytest

from cco_migrate import report, resources
from cco_migrate.model import Change, DriverSpec, Instance, JsonObject, Plan, Step
from cco_migrate.runs.journal import Entry, Event, RunState, replay

SCHEMA = jsonschema.Draft202012Validator(resources.schema("report"))
RUN = "mo-7f3a21"
CONFIG = "/srv/gateway/config/model-overrides.toml"
SIBLING = f"{CONFIG}.backup-20261121-140311"
MANIFEST = "/srv/gateway/migrate/backups/20261121-140311.json"
RULE = '"claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001"'
DIFF = f"""--- a/model-overrides.toml
+++ b/model-overrides.toml
@@ -1,4 +1,4 @@
 [overrides]
-enabled = false  # until the review
+enabled = true  # until the review
 rules = [
   [{RULE}],
"""
USES = {
    "backup": "files.backup", "exists": "config.exists", "state": "config.state",
    "enable": "files.edit", "validate": "config.valid", "stop": "service.keep",
    "restart": "service.replace", "proof": "config.loaded", "traffic": "traffic.flows",
    "counts": "statistics.agree", "cost": "cost.fell", "report": "report.write",
}  # fmt: skip
STEPS = tuple(Step(n, name, name, uses) for n, (name, uses) in enumerate(USES.items(), 1))
PLAN = Plan(
    kind="model-overrides",
    instance=Instance(
        "127.0.0.1:3000", "http://127.0.0.1:3000", Path(CONFIG), Path("/srv/gateway"),
        DriverSpec("process"), log=Path("/srv/gateway/gateway.log")
    ),
    steps=STEPS,
    way_back=(
        Step(0, "back-restart", "restart", "service.converge"),
        Step(0, "back-proof", "proof", "config.loaded"),
    ),
    changes=(Change(CONFIG, DIFF, "enable overrides"),),
    fingerprint_before="a41c09d2e7b3",
    fingerprint_after="c7d2f15e8840",
    notes=("not checked: quality of the target model's answers",),
)  # fmt: skip
PRICED: JsonObject = {
    "method": "audit", "overridden": 20, "wrong": 0, "unpriced": [], "billed_usd": "0.0703",
    "computed_usd": "0.0703", "before_usd": "0.2109", "prices_as_of": "2026-11-02",
    "saved_percent": "66.7",
}  # fmt: skip
SEEN: dict[str, tuple[str, JsonObject, float]] = {
    "backup": (
        f"{SIBLING}; 2 files restored to scratch, sha256 equal",
        {"manifest": MANIFEST, "siblings": [SIBLING], "files": [{"path": CONFIG, "sha256": "5b"}]},
        0.114,
    ),
    "exists": (f"{CONFIG}, 412 bytes, tracked by git, unchanged", {}, 0.021),
    "state": ("file: enabled = false, 2 rules; running: overrides_enabled false", {}, 0.006),
    "enable": ("1 line of model-overrides.toml changed", {"diff": DIFF}, 0.018),
    "validate": (
        "2 files: syntax, schema and rules are good; fingerprint c7d2f15e8840; 1 warnings",
        {"warnings": [f"{CONFIG}:9: overrides.rules[1]: no observed request asks for it"]}, 0.041,
    ),
    "stop": ("not needed: the workers are replaced while the socket stays open", {}, 0.001),
    "restart": ("socket never closed; 40 probes, 0 refused", {"downtime_s": 0.012}, 0.642),
    "proof": ("1 of 1 workers report c7d2f15e8840 = plan; overrides_enabled: true", {}, 0.019),
    "traffic": (
        "24 sent, 12 streamed: order, terminator, usage, tool calls intact; "
        "20 override lines in the log",
        {"sent": 24, "faults": [], "log_errors": 0,
         "dashboard": {"complete": True, "said": "http://127.0.0.1:3000/ has Cost Savings"}}, 1.437,
    ),
    "counts": ("20 overridden = 20 audited = 20 expected; 4 unmatched, as planned", {}, 0.052),
    "cost": ("$0.0703 instead of $0.2109 (-66.7 %) for 20 requests", PRICED, 0.034),
}  # fmt: skip


class Script:
    """Writes the lines of a journal, a tenth of a second apart."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.say(Event.PLANNED, reason=PLAN.digest)

    def say(
        self, event: Event, step: str = "", reason: str = "", data: JsonObject | None = None
    ) -> Script:
        number = len(self.entries)
        when = datetime(2026, 11, 21, 14, 3, 11, tzinfo=UTC) + timedelta(milliseconds=100 * number)
        ts = when.isoformat(timespec="milliseconds")
        self.entries.append(Entry(number, ts, number * 100, RUN, step, event, reason, data or {}))
        return self

    def do(self, *steps: str) -> Script:
        for step in steps:
            reason, facts, seconds = SEEN[step]
            if USES[step].startswith(("files.", "service.")):
                self.say(Event.PREPARED, step).say(Event.APPLYING, step)
                data = {"evidence": facts, "seconds": seconds}
                self.say(Event.APPLIED, step, reason, data)
            else:
                self.judge(step, "GO", reason, facts, seconds)
        return self

    def judge(
        self, step: str, verdict: str, reason: str, facts: JsonObject, seconds: float = 2.105
    ) -> Script:
        self.say(Event.PREPARED, step)
        data = {"evidence": {**facts, "verdict": verdict}, "seconds": seconds}
        return self.say(Event.JUDGED, step, reason, data)

    def go_back(self, why: str) -> Script:
        self.say(Event.FAILED, "traffic", why).say(Event.ROLLING_BACK, reason=why)
        self.say(Event.UNDONE, "restart").say(Event.UNDONE, "stop")
        self.say(Event.UNDONE, "enable", "model-overrides.toml is byte for byte as before")
        return self.say(Event.UNDONE, "backup")

    def prove_back(self) -> Script:
        self.say(Event.PREPARED, "back-restart").say(Event.APPLYING, "back-restart")
        facts = {"evidence": {"how": "replace", "downtime_s": 0.009}, "seconds": 0.61}
        self.say(Event.APPLIED, "back-restart", "socket never closed; 38 probes, 0 refused", facts)
        return self.judge("back-proof", "GO", "1 of 1 workers report a41c09d2e7b3 = plan", {})

    @property
    def state(self) -> RunState:
        state = replay(self.entries)
        assert state is not None
        return state


def going() -> Script:
    """Return a run as the report step sees it: everything done but itself."""
    script = Script().do(*SEEN)
    return script.say(Event.PREPARED, "report").say(Event.APPLYING, "report")


def failing() -> Script:
    script = Script().do(*list(SEEN)[:8])
    faults = ["#3 claude-sonnet-4-5: 400 model not found", "#7 claude-sonnet-4-5: no message_stop"]
    facts: JsonObject = {"sent": 24, "faults": faults, "log_errors": 2}
    said = f"2 of 24 answers were wrong; the first: {faults[0]}"
    return script.judge("traffic", "NO-GO", said, facts).go_back(f"traffic: {said}")


def waiting() -> Script:
    said = "no client sent anything: the rules are loaded and unproved"
    facts: JsonObject = {"sent": 0, "faults": [], "log_errors": 0}
    return Script().do(*list(SEEN)[:8]).judge("traffic", "INCONCLUSIVE", said, facts)


def rolled_back() -> Script:
    return failing().prove_back().say(Event.ROLLED_BACK, reason="traffic: 2 of 24 were wrong")


def restored() -> Script:
    script = going().say(Event.ROLLING_BACK, reason="asked for, by backup")
    script.say(Event.UNDONE, "restore", "restored model-overrides.toml byte for byte").prove_back()
    return script.say(Event.ROLLED_BACK, reason="asked for, by backup")


def untouched() -> Script:
    return Script().do("backup").say(Event.ROLLED_BACK, reason="nothing had been changed")


def stranded() -> Script:
    return failing().say(Event.ROLLBACK_FAILED, reason="port 3000 was not ready within 60 s")


def killed() -> Script:
    return Script().do("backup").say(Event.PREPARED, "enable").say(Event.APPLYING, "enable")


def finished() -> Script:
    return going().say(Event.APPLIED, "report", "report.md").say(Event.FINISHED, reason="GO")


STANDINGS = {
    Script: "OPEN", waiting: "OPEN", killed: "OPEN", going: "GO", finished: "GO",
    failing: "ROLLING BACK", rolled_back: "ROLLED BACK", untouched: "ROLLED BACK",
    restored: "ROLLED BACK", stranded: "FAILED",
}  # fmt: skip
Make = Callable[[], Script]


class Text(HTMLParser):
    """Collects what a reader sees, and every start tag with its attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.words.append(" ")
        self._style = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self._style = False

    def handle_data(self, data: str) -> None:
        if not self._style:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


def rendered(script: Script, plan: Plan = PLAN) -> tuple[str, str]:
    files = report.render(plan, script.state, "0.1.0")
    return files["report.html"], files["report.md"]


def read(page: str) -> Text:
    reader = Text()
    reader.feed(page)
    return reader


@pytest.mark.parametrize(("script", "word"), STANDINGS.items())
def test_page_opens_with_the_verdict_of_the_run(script: Make, word: str) -> None:
    page, _ = rendered(script())
    assert report.build(PLAN, script().state, "0.1.0")["verdict"] == word
    assert re.findall(r'class="badge">([^<]+)<', page) == [word]
    sentence = read(page).text.split(f" {word} ", 1)[1][:150]
    assert f"Run {RUN} on gateway {PLAN.instance.url}" in sentence


@pytest.mark.parametrize("script", STANDINGS)
@pytest.mark.parametrize("kind", ["model-overrides", "gateway-cutover"])
def test_document_matches_its_schema_however_the_run_stands(script: Make, kind: str) -> None:
    made, plan = script(), replace(PLAN, kind=kind)
    files = report.render(plan, made.state, "0.1.0", entries=made.entries)
    document = json.loads(files["report.json"])
    assert [str(fault) for fault in SCHEMA.iter_errors(document)] == []
    assert document["kind"] == kind
    assert len(document["timeline"]) >= 1


@pytest.mark.parametrize("script", STANDINGS)
def test_page_and_markdown_name_the_same_way_back(script: Make) -> None:
    page, markdown = rendered(script())
    command = report.rollback_command(PLAN, RUN)
    assert f"<code>{command}</code>" in page
    assert command in markdown
    paths = re.findall(r"^(?:Backup|Manifest with checksums): `(.+)`$", markdown, re.MULTILINE)
    assert paths == ([SIBLING, MANIFEST] if "backup" in script().state.steps else [])
    assert all(path in read(page).text for path in paths)


@pytest.mark.parametrize("script", STANDINGS)
def test_page_answers_every_item_of_the_checklist(script: Make) -> None:
    page, markdown = rendered(script())
    items = report.checklist(PLAN, script().state)
    shown = re.findall(r'<li class="item">(.*?)</li>', page)
    assert len(shown) == len(items) == 12
    for item, row in zip(items, shown, strict=True):
        text = read(row).text
        assert text == f"{item.text} {item.answer} {' '.join(item.evidence.split())}"
        assert f"{item.text}: {item.answer}" in markdown


@pytest.mark.parametrize("script", STANDINGS)
def test_page_is_one_file_that_loads_and_runs_nothing(script: Make) -> None:
    page, _ = rendered(script())
    tags = read(page).tags
    assert not {tag for tag, _ in tags} & {"script", "link", "img", "iframe", "form", "object", "a"}
    names = {name for _, attributes in tags for name in attributes}
    assert not {n for n in names if n.startswith("on")} | (names & {"src", "href", "style"})
    addresses = set(re.findall(r"https?://[^\s<&\"']+", page))
    assert {address.rstrip("/") for address in addresses} == {PLAN.instance.url}
    assert not re.search(r"url\(|@import", page)
    policies = [a["content"] for t, a in tags if t == "meta" and "http-equiv" in a]
    assert len(policies) == 1
    assert str(policies[0]).startswith("default-src 'none'; style-src 'unsafe-inline'")


@pytest.mark.parametrize(
    "hostile", ["<script>alert(1)</script>", '"><img src=x onerror=y>', "{{ 7 * 7 }}"]
)
def test_hostile_strings_are_shown_and_never_become_markup(hostile: str) -> None:
    plan = replace(
        PLAN,
        instance=replace(PLAN.instance, name=hostile, config=Path(f"/srv/{hostile}")),
        steps=tuple(replace(step, title=hostile) for step in STEPS),
        changes=(Change(f"/srv/{hostile}", DIFF.replace(RULE, hostile), hostile),),
        notes=(hostile,),
    )
    script = going().say(Event.ATTESTED, "team-notified", hostile)
    script.judge("validate", "GO", hostile, {"warnings": [hostile]})
    script.judge("traffic", "GO", hostile, {"faults": [hostile]})
    script.judge("cost", "GO", hostile, {**PRICED, "prices_as_of": hostile, "unpriced": [hostile]})
    script.say(Event.ROLLBACK_FAILED, reason=hostile)
    page, _ = rendered(script, plan)
    known = {tag for tag, _ in read(rendered(failing())[0]).tags}
    assert {tag for tag, _ in read(page).tags} - known <= {"text"}
    assert not {"script", "img"} & {tag for tag, _ in read(page).tags}
    if "<" in hostile:
        assert hostile not in page
    assert unescape(page).count(hostile) >= 20


def test_diff_lines_are_marked_as_added_and_removed() -> None:
    page, _ = rendered(going())
    assert re.findall(r"<del>(.*?)</del>", page) == ["-enabled = false  # until the review"]
    assert re.findall(r"<ins>(.*?)</ins>", page) == ["+enabled = true  # until the review"]


def test_removed_line_that_looks_like_a_file_header_is_shown() -> None:
    diff = "--- a/x.toml\n+++ b/x.toml\n@@ -1 +0,0 @@\n--- old\n"
    page, _ = rendered(going(), replace(PLAN, changes=(Change(CONFIG, diff, "drop a line"),)))
    assert re.findall(r"<del>(.*?)</del>", page) == ["--- old"]


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (going, "12 ms longest time without an answer"),
        (failing, "Old state not proved checklist of the change: 2 of 12 proven"),
        (lambda: failing().prove_back(), "Old state loaded, proved"),
        (untouched, "Old state never left"),
        (stranded, "It began with: step 9, traffic: 2 of 24 answers"),
        (waiting, "Stands at: step 9, traffic (INCONCLUSIVE): no client sent anything"),
        (Script, "Next: step 1, backup"),
        (Script, "No backup was made by this run."),
        (restored, "restore the backup done restored model-overrides.toml"),
        (Script, "not measured"),
        (Script, f"Plan {PLAN.digest} cco-migrate 0.1.0"),
    ],
)
def test_page_says_where_the_run_stands(script: Make, said: str) -> None:
    assert said in read(rendered(script())[0]).text


def test_rolled_back_page_shows_why_and_the_steps_of_the_way_back() -> None:
    text = read(rendered(rolled_back())[0]).text
    assert "Why: traffic: 2 of 24 were wrong" in text
    assert "#7 claude-sonnet-4-5: no message_stop" in text
    assert "1 of 1 workers report a41c09d2e7b3 = plan" in text
    assert "nothing is left to undo" in text
    assert "--by backup" not in text


@pytest.mark.parametrize("script", [waiting, going, stranded])
def test_page_offers_the_backup_while_there_is_something_to_undo(script: Make) -> None:
    page, _ = rendered(script())
    assert f"<code>{report.rollback_command(PLAN, RUN)} --by backup</code>" in page
    assert f"copy the backup over {CONFIG}" in read(page).text


def test_many_faults_are_cut_with_a_pointer_to_the_journal() -> None:
    faults = [f"#{number} wrong" for number in range(1, 14)]
    script = Script().do(*list(SEEN)[:8]).judge("traffic", "NO-GO", "13 wrong", {"faults": faults})
    text = read(rendered(script)[0]).text
    assert "#10 wrong" in text
    assert "#11 wrong" not in text
    assert "and 3 more, in the journal" in text


def test_demo_is_labelled_and_a_real_gateway_is_not() -> None:
    demo = replace(PLAN, instance=replace(PLAN.instance, demo=True))
    assert ">DEMO<" in rendered(going(), demo)[0]
    assert ">DEMO<" not in rendered(going())[0]


def test_context_lists_only_the_steps_of_the_way_back_that_were_taken() -> None:
    assert report.build(PLAN, going().state, "0.1.0")["way_back"] == []
    taken = report.build(PLAN, failing().prove_back().state, "0.1.0")
    assert [row["title"] for row in taken["way_back"]] == ["restart", "proof"]
    assert taken["way_back_downtime_s"] == 0.009
