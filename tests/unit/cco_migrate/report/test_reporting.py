"""However a run ends, its report and manifest are written, and why it ended is what is said."""

from __future__ import annotations

import json

import pytest

from cco_migrate.commands import reporting
from cco_migrate.errors import LockLost, NotJournaled, RollbackFailed, RolledBack, ToolkitError
from cco_migrate.runs.journal import Event
from cco_migrate.runs.store import Run
from cco_migrate.session import Session

WRITTEN = {"evidence.json", "journal.jsonl", "plan.json", "report.html", "report.json", "report.md"}


def names(run: Run) -> set[str]:
    return {path.name for path in run.directory.iterdir()}


def test_run_that_ends_well_is_reported_as_it_ended(session: Session, new_run: Run) -> None:
    reporting.reported(session, new_run, lambda: end(new_run))
    assert names(new_run) == WRITTEN
    document = json.loads((new_run.directory / "report.json").read_bytes())
    assert document["verdict"] == "GO"
    assert [moment["event"] for moment in document["timeline"]] == ["planned", "finished"]


def end(run: Run) -> None:
    run.journal.append(Event.FINISHED, reason="GO")


@pytest.mark.parametrize(
    ("error", "written"),
    [(RolledBack, True), (RollbackFailed, True), (LockLost, False), (NotJournaled, False)],
)
def test_run_that_ends_badly_is_reported_where_it_may_still_be(
    session: Session, new_run: Run, error: type[ToolkitError], written: bool
) -> None:
    def fail() -> None:
        raise error("as it happened")

    with pytest.raises(error, match="as it happened"):
        reporting.reported(session, new_run, fail)
    assert (names(new_run) == WRITTEN) is written


def test_report_that_cannot_be_written_does_not_hide_why_the_run_ended(
    session: Session, new_run: Run
) -> None:
    def fail() -> None:
        raise RolledBack("as it happened")

    (new_run.directory / "evidence.json").mkdir()  # it cannot be removed as a file
    with pytest.raises(RolledBack, match="as it happened"):
        reporting.reported(session, new_run, fail)
    assert "report.md" not in names(new_run)


def test_commands_in_the_report_are_written_as_they_are_typed(session: Session, run: Run) -> None:
    text = (run.directory / "report.md").read_text()
    assert f"{session.out.program} rollback" in text
    assert "invoke" not in text
