"""The file in which evidence is kept from run to run: JSON lines, appended and synced at once.

The first line holds the digest of what was frozen before the first sample: evidence that was
gathered under other criteria cannot be gone on with.
"""

from __future__ import annotations

import gc
import hashlib
import json
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cco_migrate.criteria import to_json
from cco_migrate.errors import InvalidInput
from cco_migrate.gates.kept import Kept, Run
from cco_migrate.gates.order import Order
from cco_migrate.model import canonical
from cco_migrate.probes.glances import Glance, time_text
from cco_migrate.probes.tallies import FIGURES
from cco_migrate.world import Files, World

VERSION = 1


class Evidence:
    """What was kept so far; what is added is on the disk before anything follows from it."""

    def __init__(self, kept: Kept, write: Callable[[bytes], None]) -> None:
        self._glances, self._runs = list(kept.glances), list(kept.runs)
        self._write = write

    @property
    def kept(self) -> Kept:
        """Everything so far."""
        return Kept(tuple(self._glances), tuple(self._runs))

    def add(self, sample: Glance | Run) -> None:
        """Keep one more sample; raises OSError when it cannot be written."""
        self._write(_line(sample))
        if isinstance(sample, Glance):
            self._glances.append(sample)
        else:
            self._runs.append(sample)


def open_evidence(order: Order, world: World) -> Evidence:
    """Return the evidence of an order: that of its file, begun anew when there is none.

    Without a file it is kept in memory, for this run alone.

    Raises:
        InvalidInput: The file is no evidence, or of another order.
        OSError: It cannot be read or begun.
    """
    if order.evidence is None:
        return Evidence(Kept(), lambda _line: None)
    path, files = order.evidence, world.files
    data = files.read_if_there(path) or b""
    if not data:
        # Whole or not at all: half a first line would be a stranger's file, and refused for ever.
        files.replace(path, _header(order, world.clock.now().timestamp()))
    else:
        _require_own(data, order, path)  # first of all: a stranger's file is left alone
    whole = data.rfind(b"\n") + 1
    if whole < len(data):  # a run was killed while it wrote: that sample was never judged
        files.truncate(path, whole)
    _, _, samples = data[:whole].partition(b"\n")
    with _uncollected():
        kept = _parsed(samples, path)
    return Evidence(kept, lambda line: files.append(path, line))


def require_same(order: Order, files: Files) -> None:
    """Raise InvalidInput when the file of an order holds anything but evidence of its own."""
    path = order.evidence
    if path is not None and (data := files.read_if_there(path)):
        _require_own(data, order, path)


def digest_of(order: Order) -> str:
    """Return the digest of everything that is frozen before the first sample."""
    baseline = order.baseline
    frozen = {
        "url": order.url,
        "phase": order.phase,
        "fingerprint": order.fingerprint,
        "model": order.model,
        "every_s": order.every_s,
        "systems": order.systems,
        "alpha": order.terms.alpha,
        "criteria": {one.id: to_json(one) for one in order.criteria},
        "baseline": baseline.to_json() if baseline else None,
        "proxy": order.proxy,
    }
    return hashlib.sha256(canonical(frozen)).hexdigest()


def _require_own(data: bytes, order: Order, path: Path) -> None:
    try:
        begun = json.loads(data[: data.index(b"\n")])["begin"]
        version, digest = begun["v"], begun["digest"]
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"{path}:1: no evidence of a gate; name another file") from error
    if version != VERSION:
        raise InvalidInput(
            f"{path}:1: form {version} of the evidence, this version reads {VERSION}"
        )
    if digest != digest_of(order):
        raise InvalidInput(
            f"{path}:1: begun for another gateway, phase, configuration, baseline, interval or "
            "other criteria: what was frozen before the first sample cannot change; nothing was "
            "added; name another file to begin anew"
        )


def _header(order: Order, now_s: float) -> bytes:
    begun = {
        "v": VERSION,
        "digest": digest_of(order),
        "phase": order.phase,
        "url": order.url,
        "figures": FIGURES,
    }
    return canonical({"at": time_text(now_s), "begin": begun}) + b"\n"


def _line(sample: Glance | Run) -> bytes:
    return canonical(sample.to_json()) + b"\n"


@contextmanager
def _uncollected() -> Iterator[None]:
    """Hold the collector of cycles: it would walk a day of samples again and again, for none."""
    ran = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if ran:
            gc.enable()


def _parsed(samples: bytes, path: Path) -> Kept:
    glances: list[Glance] = []
    runs: list[Run] = []
    numbers: dict[bytes, int] = {}
    for number, line in enumerate(samples.split(b"\n")[:-1], 2):
        numbers.setdefault(line, number)  # files were joined by hand: what is twice was seen once
    rows = _at_once(numbers)
    for place, (line, number) in enumerate(numbers.items()):
        try:
            # Text, for bytes would have their encoding guessed line by line.
            row: Any = rows[place] if rows else json.loads(line.decode())  # Any: see _at_once
            if "up" in row:
                glances.append(Glance.from_json(row))
            else:
                runs.append(Run.from_json(row))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InvalidInput(
                f"{path}:{number}: no sample ({error!r}); nothing was judged or added; "
                "restore the file, or name another one to begin anew"
            ) from error
    # The clock of the day may have been set back between two samples.
    return Kept(
        tuple(sorted(glances, key=lambda one: one.at_s)),
        tuple(sorted(runs, key=lambda one: one.at_s)),
    )


def _at_once(lines: Collection[bytes]) -> list[Any] | None:  # Any: JSON, checked by what it becomes
    """Return a row for each line, read in one call; None when a line is not one value."""
    try:
        rows: list[Any] = json.loads(f"[{b','.join(lines).decode()}]")  # Any: as above
    except ValueError:
        return None
    return rows if len(rows) == len(lines) else None
