"""The canary before the soft cutover: a rising share of launches goes to the gateway. Pure.

Each stage is an edit that is loaded, proved and judged as the cutover itself is, so that a NO-GO at
any of them takes the whole way back, and a run that was killed goes on at the stage it was in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from cco_migrate import config
from cco_migrate.checks.daemon_record import Switches
from cco_migrate.config import ConfigName
from cco_migrate.durations import show_duration
from cco_migrate.editing import edits
from cco_migrate.editing.changes import apply_edits
from cco_migrate.errors import InvalidInput
from cco_migrate.migrations.inputs import Canary, Inputs
from cco_migrate.migrations.switching import switch_edits
from cco_migrate.model import Change, JsonObject, Step
from cco_migrate.soak.terms import USES as SOAK
from cco_migrate.soak.terms import Soak
from cco_migrate.steps.creation import EMPTY

_NUMBER = 3


@dataclass(frozen=True, slots=True)
class Stage:
    """One share.

    Attributes:
        share: How many of a hundred launches go to the gateway.
        made: The edits of daemon-config.json that lead to it from the stage before.
        data: The file after them.
        fingerprint: Of all files then.
        change: What the edits do, as a diff.
    """

    share: int
    made: tuple[JsonObject, ...]
    data: bytes
    fingerprint: str
    change: Change


def parse_shares(text: str) -> tuple[int, ...]:
    """Return the shares of a list such as "5,25,50", in percent.

    Raises:
        InvalidInput: It is no rising list of whole numbers from 1 to 100.
    """
    words = [word.strip() for word in text.split(",")]
    if strange := [word for word in words if not (word.isascii() and word.isdigit())]:
        named = strange[0] or "an empty place"
        raise InvalidInput(f"--canary {text}: {named} is no whole number; write e.g. 5,25,50")
    shares = tuple(map(int, words))
    if wrong := [share for share in shares if not 1 <= share <= 100]:
        raise InvalidInput(f"--canary {text}: {wrong[0]} is no share from 1 to 100 percent")
    for before, share in pairwise(shares):
        if share <= before:
            raise InvalidInput(f"--canary {text}: {share} does not rise above {before}")
    return shares


def stages(inputs: Inputs, today: Switches, wanted: Switches) -> tuple[Stage, ...]:
    """Return the stages from the switches of today on; none when the file is as it is wanted.

    Raises:
        InvalidInput: A stage would send clients back to the old proxy, or there is none.
        EditRefused: The file cannot be edited safely.
    """
    canary = inputs.cutover.canary
    if canary is None or today == wanted:
        return ()
    _refuse_lowering(canary, today)
    found: list[Stage] = []
    data = inputs.files[ConfigName.DAEMON]
    for share in canary.shares:
        stage = _stage(inputs, data, share)
        found.append(stage)
        data = stage.data
    return tuple(found)


def steps(made: tuple[Stage, ...], inputs: Inputs, overrides: JsonObject) -> Iterator[Step]:
    """Yield the steps of every stage, in order.

    Args:
        overrides: What `/health` says of overrides while the gateway is switched on.
    """
    canary = inputs.cutover.canary
    if canary is not None:
        for stage in made:
            yield from _steps(stage, canary.soak, inputs, overrides)


def notes(inputs: Inputs) -> tuple[str, ...]:
    """Return what a plan with a canary says of it; empty without one."""
    canary = inputs.cutover.canary
    if canary is None:
        return ()
    shares = ", ".join(f"{share} %" for share in canary.shares)
    said = f"canary: {shares} of the launches, each watched for {show_duration(canary.soak.bake_s)}"
    return (said, *map(str, canary.soak.waivers))


def step_id(share: int) -> str:
    """Return the id of the step that judges a stage; those of its other steps begin with it."""
    return f"canary-{share}"


def _refuse_lowering(canary: Canary, today: Switches) -> None:
    shares = ",".join(map(str, canary.shares))
    if not today.proxy:
        raise InvalidInput(
            f"--canary {shares}: {today}: there is no old path to leave the other launches on"
        )
    now = today.share if today.gateway else 0
    if canary.shares[0] <= now:
        raise InvalidInput(
            f"--canary {shares}: {now} % of the launches go to the gateway already ({today}); "
            "a stage that sends no more there would only take some back"
        )


def _stage(inputs: Inputs, before: bytes | None, share: int) -> Stage:
    path = inputs.instance.config_dir / ConfigName.DAEMON.filename
    made = switch_edits(before, path, Switches(gateway=True, proxy=True, share=share))
    data = apply_edits(before or EMPTY, path, made)
    diff = edits.unified_diff(before or b"", data, path.name)
    change = Change(str(path), diff, f"canary: {share} % of the launches to the gateway")
    mark = config.fingerprint({**inputs.files, ConfigName.DAEMON: data})
    return Stage(share, made, data, mark, change)


def _steps(stage: Stage, soak: Soak, inputs: Inputs, overrides: JsonObject) -> Iterator[Step]:
    instance, replaces = inputs.instance, inputs.replace
    path = str(instance.config_dir / ConfigName.DAEMON.filename)
    loaded = {**overrides, "fingerprint": stage.fingerprint}
    own_id = step_id(stage.share)

    def step(name: str, title: str, uses: str, params: JsonObject) -> Step:
        return Step(_NUMBER, f"{own_id}-{name}", f"{stage.share} %: {title}", uses, params)

    yield step("switch", "divide the launches", "files.edit-or-create",
               {"path": path, "edits": list(stage.made)})  # fmt: skip
    yield step("validate", "validate", "config.valid",
               {"path": str(instance.config), "traffic": False})  # fmt: skip
    yield step("stop", "stop", "service.keep" if replaces else "service.stop", {})
    yield step("restart", "restart", "service.replace" if replaces else "service.start",
               {"stop": f"{own_id}-stop"})  # fmt: skip
    yield step("proof", "proof", "config.loaded", loaded)
    yield step("routes", "ports", "switches.in-force", {"gateway": True, "proxy": True})
    yield step("launcher", "launcher", "launcher.divides", {"share": stage.share})
    terms = replace(soak, fingerprint=stage.fingerprint).to_json()
    yield Step(_NUMBER, own_id, f"canary of {stage.share} %", SOAK, terms)
