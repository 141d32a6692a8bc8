"""What a verdict other than GO leads to: the way back, or a run that stays open. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cco_migrate.errors import DecisionNeeded, Frozen, Held, RunStaysOpen, Undecided
from cco_migrate.model import OnNoGo, Step
from cco_migrate.verdict import Judgement, Verdict

_STATE = "What was done so far stands and serves; this run is open."
_KINDS: Mapping[Verdict, type[RunStaysOpen]] = {
    Verdict.NO_GO: Frozen,
    Verdict.HOLD: DecisionNeeded,
    Verdict.INCONCLUSIVE: Undecided,
}


def goes_back(step: Step, judgement: Judgement, ask: Callable[[str], bool | None]) -> bool:
    """Return whether a NO-GO takes the way back, by `on_no_go` of its step.

    Args:
        ask: Asks a person yes or no; None when nobody can be asked.

    Raises:
        Held: A person is to be asked, and nobody is there.
    """
    what = OnNoGo(step.params.get("on_no_go", OnNoGo.ROLLBACK))
    if what is not OnNoGo.ASK:
        return what is OnNoGo.ROLLBACK
    said = f"{step.title}: NO-GO: {judgement.summary}"
    answer = ask(f"{said}. Roll back now?")
    if answer is None:
        raise Held(f"{said}; nobody can be asked", state=_STATE, next_command="invoke rollback")
    return answer


def stays_open(step: Step, judgement: Judgement) -> RunStaysOpen:
    """Return the error with which a run ends that neither goes on nor back."""
    approve = f"invoke approve --gate {step.id} --by NAME --scope WHAT --expires 24h"
    following = {
        Verdict.NO_GO: "invoke rollback",
        Verdict.HOLD: f"{approve}, then invoke migrate; or invoke rollback",
    }
    return _KINDS[judgement.verdict](
        f"{step.title}: {judgement.summary}",
        state=_STATE,
        next_command=following.get(judgement.verdict, "invoke migrate"),
    )
