"""The steps of a dry run: what needs a restart, or answers after one, is foretold from the plan.

Their receipts are taken for real, so that what cannot be done is found; nothing is applied. Their
verdicts are assumptions and live in the memory of one dry run: no journal ever holds them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cco_migrate import config
from cco_migrate.checks import CHECKS, Check
from cco_migrate.context import Context, Outcome
from cco_migrate.durations import show_duration
from cco_migrate.forecast import text as forecast_text
from cco_migrate.forecast.asking import read
from cco_migrate.model import JsonObject, Plan, Step
from cco_migrate.soak import terms as soak_terms
from cco_migrate.soak.check import SoakThrough
from cco_migrate.steps import ACTIONS, Action
from cco_migrate.steps.files import BackupFiles
from cco_migrate.verdict import Judgement, Verdict

ASSUMED = "(assumed)"
_SERVICES = {
    "service.stop": "stop the gateway after its streams have ended",
    "service.start": "start the gateway and wait until it is ready",
    "service.replace": "replace the workers while the socket stays open",
    "service.converge": "bring the gateway to what its files say then",
    "clients.recovered": "wait until the last client has left the old workers",
    "git.commit": "commit the changed files",
    "git.revert": "revert the commits",
    "git.tag": "set the tag",
    "git.bundle": "bundle the repository and prove the bundle by a clone",
    "git.restore-bundle": "restore the repository from its bundle",
    "git.branch": "begin the branch",
    "git.take-back": "take the removal back in a worktree, test it there, and name the result",
}
_LATER = {"git.remove": "commit the removal"}
"""What can be prepared only on what a step before it has made."""


_REHEARSALS = {
    "removal.restorable": "restore the bundle to scratch and run the commands there",
    "removal.references": "look for what still refers to the removed",
    "removal.commands": "build and test in a worktree of the branch",
    "removal.revertible": "take the removal back in a worktree, compare every file, and test it",
}


def actions() -> Mapping[str, Action]:
    """Return the actions of a dry run: those on files are the real ones, on an overlay World."""
    services = {uses: Foretold(ACTIONS[uses], would) for uses, would in _SERVICES.items()}
    later = {uses: Foretold(None, would) for uses, would in _LATER.items()}
    return {**ACTIONS, **services, **later, "files.backup": BackupInMemory()}


def checks(plan: Plan) -> Mapping[str, Check]:
    """Return the checks of a dry run: those of files are the real ones."""
    return {
        **CHECKS,
        "config.loaded": FilesAsPlanned(),
        "traffic.flows": AssumedCheck(CHECKS["traffic.flows"], _traffic(plan)),
        "statistics.agree": AssumedCheck(CHECKS["statistics.agree"], _statistics(plan)),
        "cost.fell": AssumedCheck(CHECKS["cost.fell"], _cost(plan)),
        soak_terms.USES: AssumedSoak(SoakThrough(), "watch the change"),
        "switches.in-force": AssumedCheck(CHECKS["switches.in-force"], "look at the ports"),
        "launcher.leads": AssumedCheck(CHECKS["launcher.leads"], "launch a client"),
        "launcher.divides": AssumedCheck(CHECKS["launcher.divides"], "have sessions drawn"),
        "gate.held": AssumedCheck(CHECKS["gate.held"], "hold the gate"),
        **{uses: AssumedCheck(CHECKS[uses], would) for uses, would in _REHEARSALS.items()},
    }


@dataclass(frozen=True, slots=True)
class Foretold:
    """An action that is prepared and not carried out.

    Attributes:
        action: Prepared for real; None for one that needs what a step before it would have made.
        would: What it would do, as a phrase.
    """

    action: Action | None
    would: str

    def prepare(self, step: Step, context: Context) -> JsonObject:
        """Check for real that it can be done, where that can be seen now."""
        return self.action.prepare(step, context) if self.action else {}

    def apply(self, step: Step, receipt: JsonObject, context: Context) -> Outcome:
        """Say what would be done."""
        return Outcome(f"{self.would} {ASSUMED}", {"assumed": True})

    def undo(self, step: Step, receipt: JsonObject, context: Context) -> str:
        """Nothing to take back."""
        return ""


class BackupInMemory(BackupFiles):
    """A backup whose copies are read back from memory; there is no scratch disk to restore to."""

    def apply(self, step: Step, receipt: JsonObject, context: Context) -> Outcome:
        """Write the copies and the manifest on the overlay, and read every copy back."""
        store, sources = context.backups, [Path(path) for path in step.params["files"]]
        siblings = [Path(path) for path in step.params["siblings"]]
        backup = store.create(receipt["id"], context.run, sources, siblings)
        saved = [file for file in backup.files if file.sha256 is not None]
        size = sum(len(store.get(file.sha256 or "")) for file in saved)
        facts = {
            "id": backup.id,
            "manifest": str(store.root / f"{backup.id}.json"),
            "siblings": [file.sibling for file in saved if file.sibling],
            "files": [{"path": file.path, "sha256": file.sha256} for file in saved],
        }
        return Outcome(f"save {len(saved)} files, {size} bytes, and restore them to scratch", facts)


class FilesAsPlanned:
    """In place of the workers' fingerprints: that of the files they would load."""

    def prepare(self, step: Step, context: Context) -> JsonObject:
        """Nothing to compare with: the plan says what must be loaded."""
        return {}

    def measure(self, step: Step, receipt: JsonObject, context: Context) -> JsonObject:
        """Compute the fingerprint of the files as they are on the overlay."""
        return {"fingerprint": config.fingerprint(context.config_files()), "assumed": True}

    def judge(self, step: Step, facts: JsonObject) -> Judgement:
        """GO when the files are as planned; that the workers load them is assumed."""
        wanted = step.params["fingerprint"] or facts["fingerprint"]
        right = facts["fingerprint"] == wanted
        said = f"the files give {facts['fingerprint']}"
        said += ", every worker would report it" if right else f", {wanted} was planned"
        verdict = Verdict.GO if right else Verdict.NO_GO
        return Judgement(step.id, verdict, f"{said} {ASSUMED}", dict(facts))


@dataclass(frozen=True, slots=True)
class AssumedCheck:
    """A check that takes its baseline and then assumes the best.

    Attributes:
        would: What it would do, as a phrase.
    """

    check: Check
    would: str

    def prepare(self, step: Step, context: Context) -> JsonObject:
        """Capture for real what it would compare with."""
        return self.check.prepare(step, context)

    def measure(self, step: Step, receipt: JsonObject, context: Context) -> JsonObject:
        """Measure nothing: what it would look at does not exist."""
        return {"assumed": True}

    def judge(self, step: Step, facts: JsonObject) -> Judgement:
        """Assume GO."""
        return Judgement(step.id, Verdict.GO, f"{self.would} {ASSUMED}", dict(facts))


class AssumedSoak(AssumedCheck):
    """One of a run's soaks: each has its own bake time."""

    __slots__ = ()

    def judge(self, step: Step, facts: JsonObject) -> Judgement:
        """Assume GO."""
        said = f"{self.would} for {show_duration(step.params['bake_s'])} {ASSUMED}"
        return Judgement(step.id, Verdict.GO, said, dict(facts))


def _traffic(plan: Plan) -> str:
    params = _params(plan, "traffic.flows")
    if params.get("mode") == "watch":
        return f"watch real clients for up to {params['watch_s']:.0f} s"
    return (
        f"send {len(params.get('models', ()))} requests, {params.get('streamed', 0)} of them "
        f"streamed; {_expected(plan)} match a rule"
    )


def _statistics(plan: Plan) -> str:
    return f"hold counters and audit against {_expected(plan)} expected overrides"


def _cost(plan: Plan) -> str:
    text = "price the overridden requests"
    if plan.basis is None or plan.basis.forecast is None:
        return text
    return f"{text}; forecast: {forecast_text.cost(read(plan.basis.forecast).cost)}"


def _expected(plan: Plan) -> int:
    params = _params(plan, "traffic.flows")
    sources = {source for source, _ in params.get("rules", ())}
    return sum(model in sources for model in params.get("models", ()))


def _params(plan: Plan, uses: str) -> JsonObject:
    return next((step.params for step in plan.steps if step.uses == uses), {})
