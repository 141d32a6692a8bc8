"""What a verdict or a failure leads to: back, or a run that stays open."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cco_migrate.errors import (
    CheckFailed,
    DecisionNeeded,
    RollbackFailed,
    RolledBack,
    RunStaysOpen,
    ToolkitError,
    Undecided,
)
from cco_migrate.runs.journal import Status
from cco_migrate.verdict import Verdict

if TYPE_CHECKING:
    from tests.unit.cco_migrate.engine.conftest import Bench


def test_no_go_undoes_byte_for_byte_and_raises_rolled_back(bench: Bench) -> None:
    bench.fake.verdict = Verdict.NO_GO
    with pytest.raises(RolledBack, match="probe: judged NO-GO") as raised:
        bench.engine().run()
    assert isinstance(raised.value.__cause__, CheckFailed)
    assert raised.value.code == 6
    assert bench.config.read_text() == bench.fake.loaded == bench.before
    until = bench.forwards.index("judged probe") + 1
    assert bench.lines() == [
        *bench.forwards[:until],
        "failed probe",
        "rolling-back",
        *bench.undone,
        *bench.back,
    ]
    assert ("probe", "NO-GO") in bench.seen.ends
    assert bench.engine().state.status is Status.ROLLED_BACK


@pytest.mark.parametrize("error", [ToolkitError("it died"), OSError(28, "No space left")])
def test_step_that_fails_is_rolled_back(bench: Bench, error: Exception) -> None:
    bench.fake.fails = error
    with pytest.raises(RolledBack, match=r"it died|No space left"):
        bench.engine().run()
    assert bench.config.read_text() == bench.before
    assert ("serve", "failed") in bench.seen.ends
    assert "failed serve" in bench.lines()


def test_failure_before_anything_changed_is_raised_as_it_is(bench: Bench) -> None:
    bench.config.unlink()
    with pytest.raises(ToolkitError, match="No such file") as raised:
        bench.engine().run()
    assert not isinstance(raised.value, RolledBack)
    assert bench.lines()[-2:] == ["failed enable", "rolled-back"]
    assert "undoing backup" not in bench.lines()


def test_invalid_result_of_an_edit_is_rolled_back(bench: Bench) -> None:
    bench.config.write_text(bench.before.replace("log_overrides", "log_overides"))
    with pytest.raises(RolledBack, match="log_overrides"):
        bench.engine().run()
    assert bench.config.read_text() == bench.before.replace("log_overrides", "log_overides")


@pytest.mark.parametrize(
    ("verdict", "error", "following"),
    [
        (Verdict.INCONCLUSIVE, Undecided, "invoke migrate"),
        (
            Verdict.HOLD, DecisionNeeded,
            "invoke approve --gate probe --by NAME --scope WHAT --expires 24h, then invoke "
            "migrate; or invoke rollback",
        ),
    ],
)  # fmt: skip
def test_undecided_leaves_the_run_open_and_looks_again(
    bench: Bench, verdict: Verdict, error: type[RunStaysOpen], following: str
) -> None:
    bench.fake.verdict = verdict
    for _ in range(2):
        with pytest.raises(error, match=f"probe: judged {verdict}") as raised:
            bench.engine().run()
    assert raised.value.next_command == following
    assert bench.engine().state.status is Status.OPEN
    assert bench.config.read_text() == bench.after
    bench.fake.verdict = Verdict.GO
    bench.engine().run()
    assert bench.engine().state.status is Status.DONE
    assert len(bench.fake.receipts) == 1  # the service was not touched again


def test_undecided_then_no_go_is_rolled_back(bench: Bench) -> None:
    bench.fake.verdict = Verdict.INCONCLUSIVE
    with pytest.raises(Undecided):
        bench.engine().run()
    bench.fake.verdict = Verdict.NO_GO
    with pytest.raises(RolledBack):
        bench.engine().run()
    assert bench.config.read_text() == bench.before


@pytest.mark.parametrize("verdict", [Verdict.NO_GO, Verdict.INCONCLUSIVE])
def test_way_back_that_is_not_proved_has_failed(bench: Bench, verdict: Verdict) -> None:
    bench.fake.verdict, bench.fake.back = Verdict.NO_GO, verdict
    with pytest.raises(RollbackFailed, match=f"the way back stopped: probe: judged {verdict}") as e:
        bench.engine().run()
    assert e.value.state.startswith("The old state is not proved")
    assert e.value.next_command == "invoke status"
    assert bench.lines()[-1] == "rollback-failed"
    assert bench.config.read_text() == bench.before
