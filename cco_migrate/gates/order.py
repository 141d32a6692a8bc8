"""What one gate is to measure, from what was typed. Reads files, asks no gateway."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from cco_migrate import config, costs
from cco_migrate.checks.sending import resolve_credential
from cco_migrate.config import ConfigName
from cco_migrate.criteria import read_criteria
from cco_migrate.errors import InvalidInput
from cco_migrate.gates.phases import criteria_of
from cco_migrate.judge.criterion import Criterion
from cco_migrate.judge.gate import judge_gate, terms_of
from cco_migrate.judge.terms import Form, Terms
from cco_migrate.prices import PriceTable
from cco_migrate.world import Files


@dataclass(frozen=True, slots=True)
class GateOptions:
    """What was typed; empty strings where nothing was.

    Attributes:
        config: The gateway's model-overrides.toml, its other files beside it.
        fingerprint: Of the planned configuration, in place of the files.
        key: Reference to the credential: "env:NAME", "file:PATH", or "demo".
        streams: How many verification streams are sent at most; 0 sends nothing.
        criteria: JSON file that changes criteria.
    """

    url: str
    phase: int = 1
    config: str = ""
    fingerprint: str = ""
    key: str = "env:ANTHROPIC_API_KEY"
    model: str = "claude-haiku-4-5-20251001"
    streams: int = 66
    criteria: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """A gate, frozen before its first sample.

    Attributes:
        fingerprint: What every worker must have loaded; None when nobody said.
        credential: Empty when nothing is sent.
        prices: None when the configuration switches cost tracking off.
    """

    url: str
    phase: int
    criteria: tuple[Criterion, ...]
    fingerprint: str | None
    model: str
    streams: int
    prices: PriceTable | None
    credential: str = field(repr=False)

    @property
    def terms(self) -> Terms:
        """Whoever runs a gate may look again: bounds that hold at any time."""
        return terms_of(self.criteria, Form.ANYTIME)

    def criterion(self, name: str) -> Criterion:
        """Return one of the criteria; raises StopIteration for an id the gate does not have."""
        return next(one for one in self.criteria if one.id == name)


def make_order(options: GateOptions, files: Files) -> Order:
    """Return the order of what was typed.

    Raises:
        InvalidInput: An option makes no sense or a file is wrong; nothing was asked or sent.
    """
    if options.streams < 0:
        raise InvalidInput(f"{options.streams} streams: 0 or more can be sent")
    if options.config and options.fingerprint:
        raise InvalidInput("give either the configuration or its fingerprint, not both")
    known = read_criteria(_read(options.criteria, files), Path(options.criteria))
    found = _configuration(options.config, files)
    orchestra = Path(ConfigName.ORCHESTRA.filename)
    tracking = costs.read_costs(orchestra, found.get(ConfigName.ORCHESTRA))
    order = Order(
        url=_base(options.url),
        phase=options.phase,
        criteria=criteria_of(options.phase, known),
        fingerprint=config.fingerprint(found) if found else options.fingerprint or None,
        model=options.model,
        streams=options.streams,
        prices=tracking.prices() if tracking.enabled else None,
        credential=resolve_credential(options.key) if options.streams else "",
    )
    try:
        judge_gate(order.criteria, {}, order.terms)
    except ValueError as error:
        raise InvalidInput(f"{options.criteria}: {error}") from error
    return order


def _configuration(path: str, files: Files) -> dict[ConfigName, bytes | None]:
    """Return the files by name; empty when none was named."""
    if not path:
        return {}
    overrides = Path(path).expanduser()
    found: dict[ConfigName, bytes | None] = {}
    for name in ConfigName:
        place = overrides if name is ConfigName.OVERRIDES else overrides.parent / name.filename
        try:
            found[name] = files.read_if_there(place)
        except OSError as error:
            raise InvalidInput(f"{place}: {error.strerror}") from error
    if found[ConfigName.OVERRIDES] is None:
        raise InvalidInput(f"{overrides}: there is no such file")
    return found


def _read(path: str, files: Files) -> bytes | None:
    if not path:
        return None
    try:
        return files.read(Path(path).expanduser())
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror}") from error


def _base(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.netloc or parts.path.strip("/"):
        raise InvalidInput(f"{url}: write http://HOST:PORT, without a path")
    if "@" in parts.netloc:
        raise InvalidInput("the gateway's URL: write it without user and password")
    return f"{parts.scheme}://{parts.netloc}"
