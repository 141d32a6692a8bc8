"""The files of a run are proved offline: whatever is changed in them is found, with its place."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cco_migrate.commands import reporting
from cco_migrate.errors import InvalidInput
from cco_migrate.model import Basis, JsonObject, canonical
from cco_migrate.report import manifest
from cco_migrate.report.verification import verify
from cco_migrate.runs.journal import Event
from cco_migrate.runs.store import Run
from cco_migrate.session import Session
from cco_migrate.soak.log import SoakLog, Window
from cco_migrate.world import Files

BEGUN = datetime.fromisoformat("2026-11-21T14:00:00+00:00")
FILES = {
    "evidence.json", "journal.jsonl", "plan.json", "report.html", "report.json", "report.md",
    "samples.jsonl",
}  # fmt: skip
Tell = Callable[..., None]


def found_in(folder: Path) -> list[str]:
    return [str(fault) for fault in verify(folder, Files()).faults]


def rewritten(folder: Path, name: str, change: Callable[[Any], None]) -> None:
    """Change a JSON file and seal the folder anew, as somebody would who wants to deceive."""
    path = folder / name
    row = json.loads(path.read_bytes())
    change(row)
    path.write_bytes(canonical(row))
    origin = manifest.parse((folder / manifest.FILENAME).read_bytes()).origin
    sealed = manifest.make(folder, Files(), origin)
    (folder / manifest.FILENAME).write_bytes(sealed.to_bytes())


def test_untouched_folder_is_verified_wherever_it_lies(run: Run, tmp_path: Path) -> None:
    assert {path.name for path in run.directory.iterdir()} == FILES
    copy = shutil.copytree(run.directory, tmp_path / "a: copy")
    for folder in (run.directory, copy):
        found = verify(folder, Files())
        assert found.faults == ()
        assert found.notes == ()
        assert [one.step for one in found.verdicts] == ["traffic", "counts", "cost", "soak"]
        assert all(one.found == one.told for one in found.verdicts)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(sorted(FILES)), place=st.floats(0, 1), mask=st.integers(1, 255))
def test_any_flipped_byte_of_any_file_is_found(
    run: Run, name: str, place: float, mask: int
) -> None:
    path = run.directory / name
    data = path.read_bytes()
    position = min(int(place * len(data)), len(data) - 1)
    path.write_bytes(data[:position] + bytes([data[position] ^ mask]) + data[position + 1 :])
    try:
        assert name in {fault.file for fault in verify(run.directory, Files()).faults}
    finally:
        path.write_bytes(data)


@pytest.mark.parametrize("name", ["evidence.json", "journal.jsonl", "samples.jsonl"])
def test_every_byte_of_what_proves_the_rest_is_guarded(run: Run, name: str) -> None:
    path = run.directory / name
    data = path.read_bytes()
    for position in range(0, len(data), 7):
        path.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        assert found_in(run.directory), position


@pytest.mark.parametrize("name", sorted(FILES - {"evidence.json"}))
def test_missing_or_shortened_file_is_found(run: Run, name: str) -> None:
    path = run.directory / name
    path.write_bytes(path.read_bytes()[:-1])
    assert any(name in fault for fault in found_in(run.directory))
    path.unlink()
    assert any(name in fault for fault in found_in(run.directory))


def test_changed_line_is_named(run: Run) -> None:
    for name, line in (("report.md", 5), ("report.html", 9), ("report.json", 3)):
        path = run.directory / name
        lines = path.read_text().split("\n")
        lines[line - 1] += " "
        path.write_text("\n".join(lines))
        assert f"{name}:{line}: it was changed after it was written" in found_in(run.directory)
    journal = run.directory / "journal.jsonl"
    journal.write_bytes(journal.read_bytes().replace(b'"sent":24', b'"sent":25'))
    assert found_in(run.directory)[0].startswith("journal.jsonl:2: the hash chain is broken")


def test_verdict_that_its_facts_do_not_give_is_found(
    session: Session, run: Run, tell: Tell, facts: dict[str, JsonObject]
) -> None:
    tell(run, "traffic", {**facts["traffic"], "faults": ["#3: no message_stop"], "verdict": "GO"})
    tell(run, "cost", {"verdict": "GO"})
    tell(run, "counts", {"expected": 20, "verdict": "GO"})
    tell(run, "cost", {"verdict": "INCONCLUSIVE"})
    reporting.write_report(session, run)
    lines = len(run.journal.entries)
    assert found_in(run.directory) == [
        f"journal.jsonl:{lines - 3}: step traffic: the journal says GO, its facts give NO-GO",
        f"journal.jsonl:{lines - 2}: step cost: GO without a single fact",
        f"journal.jsonl:{lines - 1}: step counts: its facts cannot be judged (KeyError('counted'))",
    ]


def test_report_that_claims_another_verdict_is_found_under_a_new_seal(run: Run) -> None:
    def praise(row: Any) -> None:  # Any: JSON
        row["verdicts"][0]["verdict"] = "NO-GO"
        row["verdict"] = "FAILED"

    rewritten(run.directory, "report.json", praise)
    assert found_in(run.directory) == [
        "report.json: it says verdict FAILED, the journal gives verdict GO",
        "report.json: it says NO-GO of traffic, the journal gives GO of traffic",
    ]


def test_report_that_claims_another_figure_is_found_under_a_new_seal(run: Run) -> None:
    def embellish(row: Any) -> None:  # Any: JSON
        row["lines"][2]["points"][0]["value"] = 50.0

    rewritten(run.directory, "report.json", embellish)
    (said,) = found_in(run.directory)
    assert said.startswith("report.json: it says lines [")


def test_key_figure_that_the_journal_does_not_give_is_found_under_a_new_seal(
    session: Session, run: Run
) -> None:
    other = session.store.create(replace(run.plan, kind="gateway-cutover"))
    reporting.write_report(session, other)
    assert found_in(other.directory) == []

    def embellish(row: Any) -> None:  # Any: JSON
        row["kpis"][0] |= {"standing": "met", "value": 100.0, "n": 11_520}

    rewritten(other.directory, "report.json", embellish)
    (said,) = found_in(other.directory)
    assert "it says met of availability (value 100.0, n 11520" in said
    assert "the journal gives not measured of availability (value None, n 0" in said


def test_time_of_a_way_back_that_was_not_rehearsed_so_is_found_under_a_new_seal(
    session: Session, run: Run
) -> None:
    way = {"way": "flag", "promise_s": 30, "seconds": [40.0] * 10}
    basis = Basis(BEGUN.isoformat(), "0.1.0", {}, (), rehearsal={"ways": [way]})
    other = session.store.create(replace(run.plan, basis=basis))
    reporting.write_report(session, other)
    assert found_in(other.directory) == []

    def embellish(row: Any) -> None:  # Any: JSON
        row["rehearsal"][0] |= {"p95_s": 4.0, "verdict": "GO"}

    rewritten(other.directory, "report.json", embellish)
    (said,) = found_in(other.directory)
    assert '"p95_s":4.0' in said.split(", the journal gives")[0]
    assert '"p95_s":40.0' in said.split(", the journal gives")[1]


def test_plan_of_another_run_is_found_under_a_new_seal(run: Run) -> None:
    rewritten(run.directory, "plan.json", lambda row: row.update(fingerprint_after="f2"))
    (said,) = found_in(run.directory)
    assert said.startswith("plan.json: the plan's digest is ")


def test_samples_of_another_soak_are_found_under_a_new_seal(
    run: Run, soak: Callable[[Path], JsonObject]
) -> None:
    (run.directory / "samples.jsonl").unlink()
    soak(run.directory)
    rewritten(run.directory, "report.json", lambda row: None)
    assert found_in(run.directory) == []  # they are the same to the byte
    SoakLog(run.directory, Files()).begin(Window(2, BEGUN, BEGUN))
    assert found_in(run.directory) == []  # a soak may go on; its chain has what was judged
    (run.directory / "samples.jsonl").write_bytes(b"")
    rewritten(run.directory, "report.json", lambda row: None)
    assert "samples.jsonl has no line of hash" in found_in(run.directory)[0]


def test_evidence_of_any_depth_belongs_to_the_bundle_and_what_passes_does_not(
    session: Session, run: Run
) -> None:
    kept = ("output/tests.txt", "gate-1.jsonl", "before.bundle")
    passing = ("service.log", "hold.request.json", "5b.approval.json", ".x.1.new",
               "worktrees/tests/a.py", "rehearsal/b.py")  # fmt: skip
    for name in (*kept, *passing):
        path = run.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"{}\n")
    reporting.write_report(session, run)
    for name in passing:
        (run.directory / name).write_bytes(b"changed")
    assert found_in(run.directory) == []
    for name in kept:
        (run.directory / name).write_bytes(b"[]\n")
    assert [fault.partition(":")[0] for fault in found_in(run.directory)] == sorted(kept)


def test_lines_from_after_the_manifest_are_noted(run: Run) -> None:
    run.journal.append(Event.ATTESTED, "team-notified", reason="Kim")
    found = verify(run.directory, Files())
    assert found.faults == ()
    assert found.notes == ("journal.jsonl has 1 lines from after the manifest",)


def test_command_exits_with_drift_and_names_the_first_difference(
    session: Session, run: Run
) -> None:
    good = reporting.verify_report(session, run_id="", directory="")
    assert good.code == 0
    assert "7 files" not in good.text
    assert good.text.endswith(f"seal {good.document['seal']}")
    (run.directory / "report.md").write_text("all is well\n")
    bad = reporting.verify_report(session, run_id=run.id, directory="")
    assert bad.code == 9
    assert "report.md:1: it was changed after it was written" in bad.text
    assert bad.document["faults"] == [
        {"file": "report.md", "line": 1, "said": "it was changed after it was written"}
    ]


@pytest.mark.parametrize("name", ["journal.jsonl", "plan.json", "samples.jsonl"])
def test_damage_to_the_newest_run_is_found_without_naming_the_run(
    session: Session, run: Run, name: str
) -> None:
    path = run.directory / name
    path.write_bytes(path.read_bytes().replace(b":", b";", 1))
    found = reporting.verify_report(session, run_id="", directory="")
    assert found.code == 9
    assert name in found.text


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"run_id": "mo-1", "directory": "x"}, "either --run or --dir"),
        ({"run_id": "", "directory": "nowhere"}, "no such folder"),
        ({"run_id": "../mo-1", "directory": ""}, "not the id of a run"),
        ({"run_id": "mo-1", "directory": ""}, "no such folder"),
    ],
)
def test_what_cannot_be_verified_is_refused(
    session: Session, given: dict[str, str], said: str
) -> None:
    with pytest.raises(InvalidInput, match=said):
        reporting.verify_report(session, **given)


def test_folder_without_a_manifest_is_refused(session: Session, run: Run) -> None:
    (run.directory / "evidence.json").unlink()
    with pytest.raises(InvalidInput, match="nothing says what the files were like"):
        reporting.verify_report(session, run_id=run.id, directory="")
