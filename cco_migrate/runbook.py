"""Runbooks: what the plans do, as text for people who do it by hand. Reads templates only."""

from __future__ import annotations

from pathlib import Path

from cco_migrate import report, resources
from cco_migrate.config import ConfigName
from cco_migrate.criteria import CRITERIA
from cco_migrate.demo import OLD_PATH, OVERRIDES
from cco_migrate.judge.outages import DAY_S
from cco_migrate.migrations import MIGRATIONS, Inputs
from cco_migrate.migrations.guide import GUIDES
from cco_migrate.migrations.guide.gateway_cutover import CANARY
from cco_migrate.migrations.guide.hard_cutover import HARD
from cco_migrate.migrations.guide.words import Commands
from cco_migrate.migrations.inputs import Cutover, Verification
from cco_migrate.model import DriverSpec, Instance, OnNoGo, Plan, Step
from cco_migrate.pricing.prices import PriceTable
from cco_migrate.report.cutover_checklist import PHASES
from cco_migrate.runs.journal import RunState, Status
from cco_migrate.soak.terms import Offer, Soak, make_soak

TITLES = {
    "model-overrides": "turn on model overrides",
    "gateway-cutover": "send clients to the gateway (soft cutover)",
}
OPTIONAL = {"fix": "--fix", "soak": "--soak"}
"""The option without which a plan has no such step."""

_FLAG = (
    Commands("invoke rollback --yes", prints="ROLLED BACK"),
    Commands("invoke rollback --by backup --yes", prints="rolled back"),
)
_WHOLE = {
    "model-overrides": (
        ("Look at everything, and change nothing:",
         Commands("invoke check --fix", prints="none failed")),
        ("All of it at once; a run that was stopped goes on with the same command. `--fix` adds "
         "the dashed twin of a rule id that is written with a dot:",
         Commands("invoke migrate --fix --yes", prints="proven")),
        ("Where things stand, at any point:", Commands("invoke status", prints="done; GO")),
        ("Take back this run's edits, keep what others wrote since, and prove the old state:",
         _FLAG[0]),
    ),
    "gateway-cutover": (
        ("Phase 1, as often as you like: validate the gateway beside the old proxy, and change "
         "nothing:",
         Commands("invoke migrate --kind gateway-cutover --phase 1 --yes", prints="proven")),
        ("Rehearse every way back on a clone of the deployment, within a week of phases 2 and 3, "
         "which ask for it; a demo goes without:",
         Commands("invoke rollback.rehearse", prints="every way back was taken 10 times")),
        ("Look at everything before phase 2, and change nothing:",
         Commands("invoke check --kind gateway-cutover --phase 2", prints="none failed")),
        ("Phase 2, all of it at once; a run that was stopped goes on with `invoke migrate`. With "
         "`--standby` the old proxy stays up beside the gateway:",
         Commands("invoke migrate --kind gateway-cutover --phase 2 --yes", prints="proven")),
        ("Where things stand, at any point:", Commands("invoke status", prints="done; GO")),
        ("Take back this run's edits, keep what others wrote since, and prove the old path:",
         _FLAG[0]),
    ),
}  # fmt: skip
_BACK = {
    "model-overrides": (
        ("Takes back this run's edits, keeps what others wrote since, restarts, and proves what "
         "is loaded:", _FLAG[0]),
        ("In its place, where the file is not to be saved: restores every saved file byte for "
         "byte:", _FLAG[1]),
    ),
    "gateway-cutover": (
        ("Without this tool, the two switches again:", Commands(
            "jq '.gatewayEnabled = false | .proxyEnabled = true' "
            '"$CONFIG/daemon-config.json" > "$CONFIG/daemon-config.new"\n'
            'mv "$CONFIG/daemon-config.new" "$CONFIG/daemon-config.json"\n'
            'cco-gateway reload --home "$STATE"', prints="reloaded")),
        ("The daemon tells no port of a gateway, and that of the old proxy, once it serves:",
         Commands("until jq -e .proxy_port \"$STATE/daemon.pid\"; do sleep 1; done\n"
                  "jq .gateway_port \"$STATE/daemon.pid\"", prints="null")),
    ),
}  # fmt: skip
_CANARY = Commands(
    "invoke migrate --kind gateway-cutover --phase 2 --canary 5,25,50 --canary-soak 4h",
    prints="it cannot be decided",  # no traffic comes to a demo
    code=8,
)
_HARD = (
    ("It begins where phase 2 ended; whoever has come back since goes there again:",
     Commands("invoke migrate --kind gateway-cutover --phase 2 --yes", prints="proven")),
    ("`$MANIFEST` says what is removed and which commands build and test, `$REPO` is a clean "
     "working tree of the repository. It asks for words that nobody types by habit, which "
     "`invoke plan` tells; a script gives them:",
     Commands('invoke migrate --kind gateway-cutover --phase 3 --manifest "$MANIFEST" \\\n'
              '    --repository "$REPO" --confirm "$WORDS"', prints="proven")),
)  # fmt: skip
_HARD_BACK = (
    ("Before the branch is merged, this deletes it:", _FLAG[0]),
    ("Once it was merged no switch leads back, for nobody serves the old proxy any more. Then a "
     "commit takes it back, on a branch that was tested:",
     Commands('''invoke migrate --kind gateway-cutover --phase 3 --manifest "$MANIFEST" \\
    --repository "$REPO" --confirm "$WORDS"
git -C "$REPO" merge --no-edit remove-http-proxy
invoke rollback --by git --onto main --yes''', prints="GO")),
    ("Or the whole repository is restored, as it was, into a new folder:",
     Commands('invoke rollback --by bundle --to "$RESTORED" --yes', prints="GO")),
)  # fmt: skip
_TASKS = {
    "backup": Commands("invoke step.backup --fix --yes"),
    "soak": Commands("invoke step.soak", prints="this plan has no step soak", code=8),
}
"""Tasks of single steps that are not just their name."""


def render(kind: str) -> str:
    """Return the runbook of one kind of migration, as Markdown."""
    plan = MIGRATIONS[kind](_example(kind))
    cutover = kind == "gateway-cutover"
    template = report.environment().get_template("runbook.md.j2")
    return template.render(
        kind=kind,
        title=TITLES[kind],
        steps=[_step(kind, step) for step in plan.steps],
        tool=_WHOLE[kind],
        back=_BACK[kind],
        canary=tuple(CANARY.values()) if cutover else (),
        canary_command=_CANARY,
        hard=tuple(HARD.items()) if cutover else (),
        hard_tool=_HARD,
        hard_back=_HARD_BACK,
        checklists=_checklists(plan) if not cutover else _phases(),
    )


def _step(kind: str, step: Step) -> dict[str, object]:
    by_task = kind == "model-overrides"
    return {
        "number": step.number,
        "title": step.title,
        "guide": GUIDES[kind][step.id],
        "optional": OPTIONAL.get(step.id, ""),
        "task": _TASKS.get(step.id, Commands(f"invoke step.{step.id}")) if by_task else None,
    }


def _checklists(plan: Plan) -> list[tuple[str, list[str]]]:
    nothing = RunState("none", Status.OPEN, "", "", {}, {})
    return [("Verification checklist", [item.text for item in report.checklist(plan, nothing)])]


def _phases() -> list[tuple[str, list[str]]]:
    return [
        (f"Checklist of phase {phase}", [item.text for item in items])
        for phase, items in PHASES.items()
    ]


def _example(kind: str) -> Inputs:
    config = Path("/etc/cco/model-overrides.toml")
    instance = Instance(
        "your gateway", "http://127.0.0.1:3000", config, Path("/var/lib/cco"), DriverSpec("process")
    )
    files = dict.fromkeys(ConfigName) | {ConfigName.OVERRIDES: OVERRIDES.encode()}
    if kind == "gateway-cutover":
        files[ConfigName.DAEMON] = OLD_PATH
    known = PriceTable(resources.data("prices")).ids
    return Inputs(instance, files, fix=True, replace=False, known_models=known,
                  verification=Verification(), soak=_soak(), cutover=Cutover(phase=2))  # fmt: skip


def _soak() -> Soak:
    return make_soak(DAY_S, None, OnNoGo.ROLLBACK, CRITERIA, (), Offer())
