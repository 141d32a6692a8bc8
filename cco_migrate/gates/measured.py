"""Everything a gate measured, as one piece of data. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from cco_migrate.gates.baseline import Pace, Strata, pace_of
from cco_migrate.gates.kept import Kept
from cco_migrate.gates.looking import Look
from cco_migrate.gates.verifying import pace_kept
from cco_migrate.judge.gate import Unmeasured
from cco_migrate.judge.integrity import Invariant
from cco_migrate.probes.audited import Record as AuditRecord
from cco_migrate.probes.counters import Counters
from cco_migrate.probes.instances import Health
from cco_migrate.probes.streams import Sent
from cco_migrate.probes.windows import Window
from cco_migrate.recovery.record import Record

_UNREAD = Unmeasured("nobody asked for the audit")
_UNREHEARSED = Unmeasured("no rehearsal was looked for")


@dataclass(frozen=True, slots=True)
class Daemon:
    """What a daemon on this machine leaves behind.

    Attributes:
        record: Faults of its record of itself.
        log: Errors in its log while the gate measured.
    """

    record: Invariant | Unmeasured
    log: Invariant | Unmeasured


@dataclass(frozen=True, slots=True)
class Beside:
    """The gateway that was measured beside the old path.

    Attributes:
        why: Why there is none; empty when there is.
    """

    pace: Pace
    why: str


@dataclass(frozen=True, slots=True)
class Measured:
    """Everything a gate measured.

    Attributes:
        readings: Of the counters, in order of time: before, during and after the traffic.
        unsent: Why nothing was sent; empty when something was.
        records: Of the requests that were sent.
        kept: All looks, and what earlier runs showed.
        window: Of real traffic, by all these looks.
        now: When the measurement ended.
        systems: One look at each other gateway of the fleet, by URL.
        age_s: Seconds from the last look to the end of the measurement.
        throughput: Of the bursts in which they were sent, by stratum.
        audit: The newest records of everybody's requests.
        beside: In phase 0; None in others.
        rehearsal: The last one of the ways back, on this machine.
    """

    before: Look
    after: Look
    readings: tuple[Counters, ...]
    sent: tuple[Sent, ...]
    unsent: str
    records: tuple[AuditRecord, ...] | Unmeasured
    daemon: Daemon
    kept: Kept
    window: Window
    now: datetime
    systems: Mapping[str, Health | Unmeasured]
    age_s: float = 0.0
    throughput: Strata = field(default_factory=dict)
    audit: tuple[AuditRecord, ...] | Unmeasured = _UNREAD
    beside: Beside | None = None
    rehearsal: Record | Unmeasured = _UNREHEARSED

    @property
    def request_ids(self) -> tuple[str | None, ...]:
        """Ids of all answered requests; None for an answer that names none."""
        return tuple(one for sent in self.sent for one in sent.request_ids)

    @property
    def pace(self) -> Pace:
        """How the streams of this run and of sound ones before it were answered."""
        return pace_of(self.sent, self.throughput) + pace_kept(self.kept)
