"""The main job on a real gateway: migrate, again, roll back; figures are asked of the gateway."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.01)


def get(url: str) -> dict[str, Any]:
    with httpx.Client(trust_env=False) as client:
        answer: dict[str, Any] = client.get(url).raise_for_status().json()
        return answer


@pytest.mark.smoke
def test_migrate_turns_overrides_on_and_rollback_by_flag_restores_every_byte(folder: Any) -> None:
    done = folder.run("migrate", "--yes", "--fix")
    assert done.code == 0, done.err
    assert "GO  11 of 12 proven" in done.out
    assert "undo: cco-migrate rollback --run mo-" in done.out
    backup = next(folder.config.parent.glob("model-overrides.toml.backup-*"))
    before, after = backup.read_text(), folder.config.read_text()
    assert "enabled = false" in before
    assert after.replace("enabled = true", "enabled = false").splitlines() != before.splitlines()
    added = [line for line in after.splitlines() if line not in before.splitlines()]
    assert [line.split("#")[0].strip() for line in added] == [
        "enabled = true",
        '["claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001"],',
    ]
    health = get(f"{folder.url}/health")
    assert (health["overrides_enabled"], health["override_rules"]) == (True, 4)
    stats = get(f"{folder.url}/api/overrides/stats")
    assert stats["total_overrides"] == 20
    assert stats["overrides_by_model"]["claude-sonnet-4-5-20250929"]["count"] == 20
    audit = get(f"{folder.url}/gateway/audit?limit=100")
    assert audit["total"] == 48  # 24 before the change, 24 to verify it
    assert sum(row["model"] != row["requested_model"] for row in audit["entries"]) == 20

    again = folder.run("migrate", "--yes", "--fix")
    assert again.code == 0
    assert again.out.startswith("UNCHANGED")
    assert get(f"{folder.url}/gateway/audit?limit=1")["total"] == 48

    back = folder.run("rollback", "--yes")
    assert back.code == 0, back.err
    assert folder.config.read_bytes() == backup.read_bytes()
    assert get(f"{folder.url}/health")["overrides_enabled"] is False
    assert folder.run("rollback", "--yes").out.startswith("run mo-")


def test_rollback_tells_when_the_last_client_had_recovered(folder: Any) -> None:
    """An upload that began before ends after the proof; the time counts until then."""
    assert folder.run("migrate", "--yes", "--fix").code == 0
    port = int(folder.url.rpartition(":")[2])
    with ThreadPoolExecutor() as pool, socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(
            b"POST /v1/messages HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n\r\n{"
        )
        back = pool.submit(folder.run, "rollback", "--yes", "--json")
        until(lambda: "back-clients" in {line["step"] for line in folder.journal()})
        proven = time.monotonic()
        until(lambda: time.monotonic() - proven > 0.5)
        client.sendall(b"}")
        assert client.recv(15) == b"HTTP/1.1 400 Ba"  # an answer, from the old worker
    assert back.result().code == 0, back.result().err
    done = [line for line in folder.journal() if line["step"] == "back-clients"][-1]
    evidence = done["data"]["evidence"]
    assert evidence["draining"] == 0
    assert evidence["recovered_s"] > 0.5
    report = next((folder.home / "migrate" / "runs").glob("*/report.md")).read_text()
    assert f"the last client had recovered {evidence['recovered_s']:.1f} s after" in report


def test_rollback_by_backup_restores_every_byte_and_keeps_what_stood_there(folder: Any) -> None:
    assert folder.run("demo.up").code == 0
    before = folder.config.read_bytes()
    assert folder.run("migrate", "--yes", "--fix").code == 0
    migrated = folder.config.read_bytes()
    with folder.config.open("a") as file:
        file.write("# a note by somebody else\n")
    edited = folder.config.read_bytes()
    back = folder.run("rollback", "--yes", "--by", "backup")
    assert back.code == 0, back.err
    assert folder.config.read_bytes() == before
    kept = {p.read_bytes() for p in (folder.home / "migrate/backups/objects").iterdir()}
    assert {before, migrated, edited} <= kept


def test_rollback_by_flag_keeps_what_others_wrote_since(folder: Any) -> None:
    """Their note stays, our key goes back; what is loaded then is what the files say."""
    assert folder.run("demo.up").code == 0
    text = folder.config.read_text()
    assert folder.run("migrate", "--yes", "--fix").code == 0
    with folder.config.open("a") as file:
        file.write("# a note by somebody else\n")
    back = folder.run("rollback", "--yes")
    assert folder.config.read_text() == text + "# a note by somebody else\n"
    assert back.code == 0, back.err
    assert get(f"{folder.url}/health")["overrides_enabled"] is False


def test_migrate_json_is_one_document_and_events_are_lines(folder: Any) -> None:
    done = folder.run("migrate", "--yes", "--fix", "--json", "--events", "events.jsonl")
    assert done.code == 0, done.err
    document = done.document
    assert (document["schema_version"], document["verdict"]) == (1, "GO")
    assert [step["number"] for step in document["steps"]] == [1, 2, 3, 4, 4, *range(5, 13)]
    events = [json.loads(line) for line in (folder.path / "events.jsonl").read_text().splitlines()]
    assert {event["run"] for event in events} == {document["run"]}
    assert [e["step"] for e in events if e["state"] == "begins"] == [
        step["id"] for step in document["steps"]
    ]
    answers = {item["text"]: item["answer"] for item in document["checklist"]}
    assert len(answers) == 12
    assert [text for text, answer in answers.items() if answer != "proven"] == [
        "Team notified of the change"
    ]

    told = folder.run("approve", "--person", "Ops on call", "--json")
    assert told.code == 0, told.err
    assert {item["answer"] for item in told.document["checklist"]} == {"proven"}


def test_report_names_the_real_backup_and_the_command_that_rolls_back(folder: Any) -> None:
    done = folder.run("migrate", "--yes", "--fix", "--json")
    assert done.code == 0, done.err
    backup = next(folder.config.parent.glob("model-overrides.toml.backup-*"))
    for name in ("report.md", "report.html"):
        text = Path(done.document["report"]).with_name(name).read_text()
        assert str(backup) in text
        assert f"cco-migrate rollback --run {done.document['run']}" in text
    assert "-66.7" in next(s["summary"] for s in done.document["steps"] if s["id"] == "cost")


def test_plan_and_check_and_dry_run_change_nothing(demo: Any) -> None:
    before = demo.tree()
    audit = get(f"{demo.url}/gateway/audit?limit=1")["total"]
    shown = demo.run("plan", "--fix", "--detailed-exitcode", "--json")
    assert shown.code == 2, shown.err
    assert [change.count("\n+") for change in shown.document["changes"]] == [2, 2]
    assert demo.run("check", "--fix").code == 0
    dry = demo.run("migrate", "--fix", "--yes", "--dry-run")
    assert dry.code == 0
    assert "nothing was changed" in dry.out
    assert demo.tree() == before
    assert get(f"{demo.url}/gateway/audit?limit=1")["total"] == audit
    assert not (demo.home / "migrate" / "runs").exists()
    assert get(f"{demo.url}/health")["overrides_enabled"] is False


def test_freeze_window_blocks_forward_steps_and_never_the_way_back(folder: Any) -> None:
    assert folder.run("migrate", "--yes", "--fix").code == 0
    windows = folder.home / "config" / "fleet.toml"
    windows.write_text('[calendar]\nfreeze = [["2000-01-01", "2099-12-31"]]\n')
    forward = folder.run("migrate", "--yes", "--fix")
    assert forward.code == 8
    assert "is frozen" in forward.err
    assert "fleet.toml" in forward.err
    windows.rename(windows.with_name("communication.toml"))
    former = folder.run("migrate", "--yes", "--fix")
    assert former.code == 8
    assert "the file is fleet.toml now" in former.err
    assert folder.run("plan", "--fix").code == 0
    assert folder.run("rollback", "--yes").code == 0


def test_no_input_asks_nobody_and_changes_nothing(demo: Any) -> None:
    before = demo.tree()
    done = demo.run("migrate", "--fix", "--no-input")
    assert done.code == 12, done.err
    assert demo.tree() == before


def test_steps_by_hand_go_on_where_the_last_one_stopped(demo: Any) -> None:
    first = demo.run("step.backup", "--yes", "--fix")
    assert first.code == 0, first.err
    assert "next: cco-migrate step.exists" in first.out
    assert "enabled = false" in demo.config.read_text()
    fourth = demo.run("step.enable", "--yes", "--fix")
    assert fourth.code == 0, fourth.err
    assert "enabled = true" in demo.config.read_text()
    assert get(f"{demo.url}/health")["overrides_enabled"] is False
    status = demo.run("status")
    assert "next is step 5" in status.out
    rest = demo.run("migrate", "--yes")
    assert rest.code == 0, rest.err
    assert rest.out.startswith("GO")
    assert len({line["run"] for line in demo.journal()}) == 1


def test_journal_has_each_receipt_before_its_change(folder: Any) -> None:
    assert folder.run("migrate", "--yes", "--fix").code == 0
    lines = folder.journal()
    assert [line["seq"] for line in lines] == list(range(len(lines)))
    for step in {line["step"] for line in lines if line["event"] == "applied"}:
        events = [line["event"] for line in lines if line["step"] == step]
        assert events == ["prepared", "applying", "applied"]
    text = json.dumps(lines)
    assert not re.search(r"sk-ant-|demo-key", text)
