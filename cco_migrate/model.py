"""The nouns of the toolkit: instances, plans and steps, as frozen data with a JSON form. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

PLAN_VERSION = 1

_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)

JsonObject = Mapping[str, Any]
"""A JSON object read from or written to a file; Any because JSON is."""


@dataclass(frozen=True, slots=True)
class DriverSpec:
    """How an instance is restarted.

    Attributes:
        kind: A key of `drivers.DRIVERS`.
        stop: Command that stops the service; empty where the driver needs none.
        start: Command that starts it; may stay in the foreground.
        restart: One command in place of stop and start; empty when there is none.
    """

    kind: str
    stop: str = ""
    start: str = ""
    restart: str = ""


@dataclass(frozen=True, slots=True)
class Instance:
    """One gateway: where it answers, what it reads, how it is restarted.

    Attributes:
        name: For people; "demo" or host:port.
        url: Base URL without a path, e.g. http://127.0.0.1:3000.
        config: The model-overrides.toml it reads.
        home: State root (`$CCO_HOME`) of the toolkit and of a bundled gateway.
        log: File the gateway logs to; None when nobody said.
        demo: Whether this is the demo deployment.
    """

    name: str
    url: str
    config: Path
    home: Path
    driver: DriverSpec
    log: Path | None = None
    demo: bool = False

    @property
    def config_dir(self) -> Path:
        """The directory that holds all configuration files of the instance."""
        return self.config.parent

    @property
    def migrate_dir(self) -> Path:
        """Where the toolkit keeps runs, backups and the lock."""
        return self.home / "migrate"

    def to_json(self) -> dict[str, object]:
        """Return the instance as JSON values."""
        places = {"config": str(self.config), "home": str(self.home)}
        log = str(self.log) if self.log else None
        return {**_row(self), **places, "driver": _row(self.driver), "log": log}

    @classmethod
    def from_json(cls, row: JsonObject) -> Instance:
        """Rebuild an instance; raises KeyError or TypeError for a row of another shape."""
        return cls(
            **{
                **row,
                "config": Path(row["config"]),
                "home": Path(row["home"]),
                "driver": DriverSpec(**row["driver"]),
                "log": Path(row["log"]) if row["log"] else None,
            }
        )


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a plan: data that names the code which carries it out.

    Attributes:
        number: As the source document counts it; 0 for a step of the way back.
        id: Stable, unique in the plan, e.g. "enable"; also the name of its task.
        title: What it does, for people.
        uses: A key of `steps.ACTIONS` or `checks.CHECKS`.
        params: JSON values the code needs.
    """

    number: int
    id: str
    title: str
    uses: str
    params: JsonObject = field(default_factory=dict)


class OnNoGo(StrEnum):
    """What the NO-GO of a check leads to; the parameter `on_no_go` of its step."""

    ROLLBACK = "rollback"  # the engine takes the way back at once
    FREEZE = "freeze"  # everything stays as it is, and the run open
    ASK = "ask"  # a person is asked; the run stays open when nobody can be


@dataclass(frozen=True, slots=True)
class Change:
    """What a plan does to one file.

    Attributes:
        path: The file.
        diff: Unified diff of this change alone.
        why: One line, e.g. "fix: dashed twin of a dotted id".
    """

    path: str
    diff: str
    why: str


class Certainty(StrEnum):
    """How much is known of something before it is done."""

    VERIFIED = "verified"  # it was seen to be so
    WARNED = "warning"  # it was seen to be doubtful, or waived
    ASSUMED = "assumed"  # nobody could look


@dataclass(frozen=True, slots=True)
class Observation:
    """One thing the preflight looked at.

    Attributes:
        step: Id of the step it is about.
        text: One sentence, with its figures.
    """

    step: str
    certainty: Certainty
    text: str

    @classmethod
    def from_json(cls, row: JsonObject) -> Observation:
        """Rebuild it; raises KeyError, TypeError or ValueError for a row of another shape."""
        return cls(**{**row, "certainty": Certainty(row["certainty"])})


@dataclass(frozen=True, slots=True)
class Basis:
    """What a plan rests on: what was seen when it was made.

    Attributes:
        made_at: RFC 3339, UTC; makes each plan one of a kind.
        tool_version: Of the tool that made it.
        files: SHA-256 of each configuration file by its path; None for one that was absent.
        runtime: What the gateway had loaded: one fingerprint per state of its workers; what
            `/health` said of a gateway without fingerprints.
        observations: What the preflight saw, in its order.
        forecast: What the gateway said its recorded requests would have become; None when it was
            not asked or cannot say.
        blast_radius: Who is affected, see `blast_radius`; None without recorded requests.
        rehearsal: The rehearsal of the ways back that lets a cutover begin, see
            `rehearsal.schema.json`; None where none was asked for or none counts. It is left out
            of the JSON form then.
    """

    made_at: str
    tool_version: str
    files: Mapping[str, str | None]
    runtime: tuple[str, ...]
    observations: tuple[Observation, ...] = ()
    forecast: JsonObject | None = None
    blast_radius: JsonObject | None = None
    rehearsal: JsonObject | None = None

    def to_json(self) -> dict[str, object]:
        """Return it as JSON values."""
        row = {**_row(self), "observations": [_row(one) for one in self.observations]}
        if self.rehearsal is None:
            del row["rehearsal"]
        return row

    @classmethod
    def from_json(cls, row: JsonObject) -> Basis:
        """Rebuild it; raises KeyError, TypeError or ValueError for a row of another shape."""
        seen = tuple(Observation.from_json(one) for one in row["observations"])
        return cls(**{**row, "runtime": tuple(row["runtime"]), "observations": seen})


@dataclass(frozen=True)  # no slots: its digest is computed once
class Plan:
    """What a run will do, frozen before it begins.

    Attributes:
        kind: A key of `migrations.MIGRATIONS`.
        steps: In order; each is journaled.
        way_back: Steps carried out after the undo of everything applied: restart and proof.
        changes: Every file change, each with its own diff.
        fingerprint_before: What the files gave when the plan was made.
        fingerprint_after: What they will give when every step is applied.
        notes: What was assumed, waived or could not be checked.
        basis: What was seen when it was made; None while it is only computed. It is left out of
            the JSON form then, so that a plan made of the same inputs has the same digest.
    """

    kind: str
    instance: Instance
    steps: tuple[Step, ...]
    way_back: tuple[Step, ...]
    changes: tuple[Change, ...]
    fingerprint_before: str
    fingerprint_after: str
    notes: tuple[str, ...] = ()
    basis: Basis | None = None

    @cached_property
    def digest(self) -> str:
        """First 12 hex digits of the SHA-256 of the plan's canonical JSON."""
        return hashlib.sha256(canonical(self.to_json())).hexdigest()[:12]

    def step(self, step_id: str) -> Step:
        """Return a step of the plan or of its way back; raises KeyError when there is none."""
        for step in (*self.steps, *self.way_back):
            if step.id == step_id:
                return step
        raise KeyError(step_id)

    def to_json(self) -> dict[str, object]:
        """Return the plan as JSON values."""
        return {
            "schema_version": PLAN_VERSION,
            "kind": self.kind,
            "instance": self.instance.to_json(),
            "steps": [_row(step) for step in self.steps],
            "way_back": [_row(step) for step in self.way_back],
            "changes": [_row(change) for change in self.changes],
            "fingerprint_before": self.fingerprint_before,
            "fingerprint_after": self.fingerprint_after,
            "notes": list(self.notes),
            **({} if self.basis is None else {"basis": self.basis.to_json()}),
        }

    @classmethod
    def from_json(cls, row: JsonObject) -> Plan:
        """Rebuild a plan; raises KeyError, TypeError or ValueError for a row of another shape."""
        if row["schema_version"] != PLAN_VERSION:
            raise ValueError(
                f"plan version {row['schema_version']}, this tool reads {PLAN_VERSION}"
            )
        return cls(
            kind=row["kind"],
            instance=Instance.from_json(row["instance"]),
            steps=tuple(Step(**step) for step in row["steps"]),
            way_back=tuple(Step(**step) for step in row["way_back"]),
            changes=tuple(Change(**change) for change in row["changes"]),
            fingerprint_before=row["fingerprint_before"],
            fingerprint_after=row["fingerprint_after"],
            notes=tuple(row["notes"]),
            basis=Basis.from_json(row["basis"]) if "basis" in row else None,
        )


def canonical(value: object) -> bytes:
    """Return JSON with sorted keys and no blanks: the bytes that are hashed."""
    return _CANONICAL.encode(value).encode()


def _row(one: DriverSpec | Instance | Step | Change | Basis | Observation) -> dict[str, object]:
    """Return its fields by name; what is in them is not copied, as `asdict` would."""
    return {name: getattr(one, name) for name in one.__slots__}
