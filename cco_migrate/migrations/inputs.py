"""What a migration is planned from. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cco_migrate.config import ConfigName
from cco_migrate.model import Instance
from cco_migrate.removal.planning import Removing
from cco_migrate.soak.terms import Soak


@dataclass(frozen=True, slots=True)
class Verification:
    """The traffic that proves a change.

    Attributes:
        mode: "send" sends requests, "watch" waits for those of real clients.
        models: Model asked for, one per request; empty when watching.
        streamed: How many of them ask for a stream.
        shape: "claude-code" for full requests, "small" for the cheapest ones.
        credential: Reference to the key they carry: "env:NAME", "file:PATH" or "demo".
        watch_s: How long to watch, in seconds.
    """

    mode: str = "send"
    models: tuple[str, ...] = ()
    streamed: int = 0
    shape: str = "small"
    credential: str = "env:ANTHROPIC_API_KEY"
    watch_s: float = 300.0


@dataclass(frozen=True, slots=True)
class Canary:
    """The share of launches that goes to the gateway before all do.

    Attributes:
        shares: In percent, rising.
        soak: What each of them has to hold through.
    """

    shares: tuple[int, ...]
    soak: Soak


@dataclass(frozen=True, slots=True)
class Cutover:
    """What was asked of a gateway cutover.

    Attributes:
        phase: A key of `gateway_cutover.PHASES`.
        standby: Whether the old proxy stays as a warm standby.
        validated: Run whose gate of phase 1 was GO on these very files; empty to hold it first.
        model: Asked for by the verification streams of the gates.
        streams: How many of them a gate sends at most; 0 sends nothing.
        on_no_go: What a NO-GO of the gate of phase 2 leads to: a value of `model.OnNoGo`.
        baseline: File of the old path's times, absolute; empty for none.
        canary: The stages before the soft cutover; None for none.
        removing: What phase 3 takes out of which repository; None in the other phases.
    """

    phase: int = 1
    standby: bool = False
    validated: str = ""
    model: str = "claude-haiku-4-5-20251001"
    streams: int = 66
    on_no_go: str = "rollback"
    baseline: str = ""
    canary: Canary | None = None
    removing: Removing | None = None


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything a plan depends on.

    Attributes:
        files: Bytes of every configuration file; None for one that is absent.
        fix: Whether to add the dashed twins of dotted ids.
        replace: Whether the gateway can replace its workers with the socket open.
        known_models: Ids of the model table.
        soak: What the change has to hold through; None without a soak.
        cutover: Only of a gateway cutover.
    """

    instance: Instance
    files: Mapping[ConfigName, bytes | None]
    fix: bool
    replace: bool
    known_models: tuple[str, ...]
    verification: Verification
    soak: Soak | None = None
    cutover: Cutover = Cutover()
