"""What the hard cutover looks at before anything is touched: the soft one, and the repository."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cco_migrate.checks import CHECKS
from cco_migrate.checks.daemon_record import Switches
from cco_migrate.context import Context
from cco_migrate.errors import CheckFailed, InvalidInput, ToolkitError
from cco_migrate.migrations import Inputs
from cco_migrate.migrations.gateway_cutover import KIND, SOFT, phase_of, switches
from cco_migrate.model import Plan
from cco_migrate.planning.preflight import Line, Mark
from cco_migrate.removal.ways_back import removed_by
from cco_migrate.runs.journal import Status
from cco_migrate.runs.store import Run, RunStore
from cco_migrate.steps import ACTIONS
from cco_migrate.vcs.repository import committer, opened, refuse_dirty, tip_of
from cco_migrate.verdict import Verdict


def check_soft_cutover(plan: Plan, inputs: Inputs, context: Context) -> list[Line]:
    """Is the soft cutover what is in force: by the switches, and by a run that stands?

    Files that were edited since then are no fault, for the gate of this phase judges what is
    loaded now; and a soft cutover that stands cannot be made again.
    """
    today, phase_2 = switches(inputs), f"invoke migrate --kind {KIND} --phase {SOFT}"
    if today != Switches(gateway=True, proxy=False):
        text = f"{today}: the old proxy may go only when every client is sent to the gateway"
        return [Line(Mark.FAIL, text, next_command=phase_2)]
    runs = [run for run in _runs(inputs, context) if run.plan.kind == KIND]
    soft = [run for run in runs if phase_of(run.plan) == SOFT]
    if not soft:
        text = f"no run of phase {SOFT} under {inputs.instance.migrate_dir / 'runs'}"
        return [Line(Mark.FAIL, f"{text}: what it has to show was never judged")]
    run = soft[-1]
    if run.state.status is not Status.DONE:
        text = f"run {run.id}, the newest of phase {SOFT}, is {run.state.status.value}, not done"
        return [Line(Mark.FAIL, text, next_command=phase_2)]
    if run.plan.fingerprint_after != plan.fingerprint_before:
        text = f"run {run.id} of phase {SOFT} was GO on {run.plan.fingerprint_after}; the files "
        text += f"were edited since and give {plan.fingerprint_before}: the gate judges these"
        return [Line(Mark.WARN, text)]
    return [Line(Mark.OK, f"phase {SOFT} was GO on these files in run {run.id}, and stands")]


def check_repository(plan: Plan, inputs: Inputs, context: Context) -> list[Line]:
    """Can the removal be made in this repository? Leaves no trace in it; ends at the first fault.

    What comes after a fault would name the same fault once more.
    """
    looks = (
        lambda: _clean(plan),
        lambda: _identity(plan),
        lambda: _free(plan, inputs, context),
        lambda: _fits(plan, context),
    )
    lines: list[Line] = []
    for look in looks:
        lines.append(_tried(look))
        if lines[-1].mark is Mark.FAIL:
            break
    return lines


def _tried(look: Callable[[], str]) -> Line:
    try:
        return Line(Mark.OK, look())
    except ToolkitError as error:
        return Line(Mark.FAIL, str(error), next_command=error.next_command or "")


def _clean(plan: Plan) -> str:
    params = plan.step("fits").params
    with opened(Path(params["repo"])) as repository:
        refuse_dirty(repository)
    return f"repository {params['repo']}: nothing uncommitted, at {params['commit'][:9]}"


def _identity(plan: Plan) -> str:
    with opened(Path(plan.step("fits").params["repo"])) as repository:
        return f"git commits as {committer(repository)}"


def _free(plan: Plan, inputs: Inputs, context: Context) -> str:
    """Prepare the steps that need a name or a whole history; to prepare changes nothing."""
    _refuse_made(plan, inputs, context)
    for name in ("branch", "tag", "bundle"):
        step = plan.step(name)
        ACTIONS[step.uses].prepare(step, context)
    branch, tag = plan.step("branch").params["branch"], plan.step("tag").params["name"]
    return f"the branch {branch} and the tag {tag} can be made, and a bundle of all"


def _fits(plan: Plan, context: Context) -> str:
    step = plan.step("fits")
    check = CHECKS[step.uses]
    found = check.judge(step, check.measure(step, check.prepare(step, context), context))
    if found.verdict is not Verdict.GO:
        raise CheckFailed(f"the manifest does not fit: {found.summary}")
    return f"the manifest fits: {found.summary}"


def _refuse_made(plan: Plan, inputs: Inputs, context: Context) -> None:
    """Raise InvalidInput when a run that stands has made this branch before."""
    params = plan.step("branch").params
    with opened(Path(params["repo"])) as repository:
        if tip_of(repository, params["branch"]) is None:
            return
    for run in _runs(inputs, context):
        made = removed_by(run.plan, run.id, run.directory)
        same = made and (str(made.repo), made.branch) == (params["repo"], params["branch"])
        if same and run.state.status is Status.DONE:
            raise InvalidInput(
                f"run {run.id} has made the branch {params['branch']}; merge it, or take it away",
                next_command=f"invoke rollback --run {run.id}",
            )


def _runs(inputs: Inputs, context: Context) -> tuple[Run, ...]:
    return RunStore(inputs.instance.migrate_dir, context.world).all()
