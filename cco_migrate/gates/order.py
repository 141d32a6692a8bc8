"""What one gate is to measure, from what was typed. Reads files, asks no gateway."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from cco_migrate import config, costs
from cco_migrate.checks.sending import resolve_credential
from cco_migrate.config import ConfigName
from cco_migrate.criteria import read_criteria
from cco_migrate.errors import InvalidInput
from cco_migrate.gates.approvals import read_approvals
from cco_migrate.gates.baseline import Baseline, read_baseline
from cco_migrate.gates.checked import read_typed
from cco_migrate.gates.phases import CAPTURE, TABLE, criteria_of
from cco_migrate.judge.attestations import Attestation
from cco_migrate.judge.criterion import Criterion
from cco_migrate.judge.gate import judge_gate, terms_of
from cco_migrate.judge.terms import Form, Terms
from cco_migrate.pricing.prices import PriceTable
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
        evidence: File that keeps samples from run to run.
        baseline: File of the old path's times: phase 0 writes it, later phases read it.
        approvals: File of what people say, a JSON object a line.
        watch: Seconds to look at real traffic before anything is sent; 0 looks once.
        every: Seconds between two looks.
        home: The gateway's state root, where it is on this machine.
        systems: URLs of the fleet's other gateways, separated by commas.
        proxy: The old HTTP proxy; phase 0 asks `url` through it.
        beside: URL of the gateway that phase 0 measures beside the old path.
    """

    url: str
    phase: int = 1
    config: str = ""
    fingerprint: str = ""
    key: str = "env:ANTHROPIC_API_KEY"
    model: str = "claude-haiku-4-5-20251001"
    streams: int = 66
    criteria: str = ""
    evidence: str = ""
    baseline: str = ""
    approvals: str = ""
    watch: int = 0
    every: int = 30
    home: str = ""
    systems: str = ""
    proxy: str = ""
    beside: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """A gate, frozen before its first sample.

    Attributes:
        fingerprint: What every worker must have loaded; None when nobody said.
        credential: Empty when nothing is sent.
        prices: None when the configuration switches cost tracking off.
        switches: The planned `gatewayEnabled` and `proxyEnabled`; None when no files were named.
        baseline: Of the old path; None when there is none.
        capture: Where phase 0 writes the baseline; None in other phases, or for nowhere.
        approvals: What people said, by criterion; None when nobody was asked.
        evidence: Where samples are kept from run to run; None for nowhere.
        watch_s: Seconds to look before anything is sent.
        every_s: Seconds between two looks.
        home: The gateway's state root; None when it is elsewhere.
        systems: URLs of the fleet's other gateways.
        proxy: The old HTTP proxy that phase 0 asks through; "" for none.
        gateway: URL of the gateway that phase 0 measures beside the old path; "" for none.
        overridden: The models that a rule of the planned configuration replaces.
    """

    url: str
    phase: int
    criteria: tuple[Criterion, ...]
    fingerprint: str | None
    model: str
    streams: int
    prices: PriceTable | None
    credential: str = field(repr=False)
    switches: tuple[bool, bool] | None = None
    baseline: Baseline | None = None
    capture: Path | None = None
    approvals: Mapping[str, tuple[Attestation, ...]] | None = None
    evidence: Path | None = None
    watch_s: int = 0
    every_s: int = 30
    home: Path | None = None
    systems: tuple[str, ...] = ()
    proxy: str = ""
    gateway: str = ""
    overridden: frozenset[str] = frozenset()

    @property
    def terms(self) -> Terms:
        """Whoever runs a gate may look again: bounds that hold at any time."""
        return terms_of(self.criteria, Form.ANYTIME)

    @property
    def scope(self) -> str:
        """What an approval of this gate has to be for."""
        return f"phase-{self.phase}:{self.fingerprint or 'unknown'}"

    def criterion(self, name: str) -> Criterion:
        """Return one of the criteria; raises StopIteration for an id the gate does not have."""
        return next(one for one in self.criteria if one.id == name)

    def asks(self, name: str) -> bool:
        """Whether the gate has a criterion."""
        return any(one.id == name for one in self.criteria)


def make_order(options: GateOptions, files: Files) -> Order:
    """Return the order of what was typed.

    Raises:
        InvalidInput: An option makes no sense or a file is wrong; nothing was asked or sent.
    """
    _require_sense(options)
    known = read_criteria(
        read_typed("--criteria", options.criteria, files), Path(options.criteria), TABLE
    )
    found = _configuration(options.config, files)
    orchestra = Path(ConfigName.ORCHESTRA.filename)
    tracking = costs.read_costs(orchestra, found.get(ConfigName.ORCHESTRA))
    evidence, baseline = _path(options.evidence), _path(options.baseline)
    overridden = _overridden(found, Path(options.config))
    captures = options.phase == CAPTURE
    order = Order(
        url=_base(options.url),
        phase=options.phase,
        criteria=criteria_of(
            options.phase, known, carried=evidence is not None, overrides=bool(overridden)
        ),
        fingerprint=config.fingerprint(found) if found else options.fingerprint or None,
        model=options.model,
        streams=options.streams,
        prices=tracking.prices() if tracking.enabled else None,
        credential=resolve_credential(options.key) if options.streams else "",
        switches=_switches(found, Path(options.config).parent) if found else None,
        baseline=None if captures else _baseline(options.baseline, files),
        capture=baseline if captures else None,
        approvals=_approvals(options.approvals, files),
        evidence=evidence,
        watch_s=options.watch,
        every_s=options.every,
        home=_path(options.home),
        systems=tuple(_base(url.strip()) for url in options.systems.split(",") if url.strip()),
        proxy=_base(options.proxy) if options.proxy else "",
        gateway=_base(options.beside) if options.beside else "",
        overridden=overridden,
    )
    try:
        judge_gate(order.criteria, {}, order.terms)
    except ValueError as error:
        raise InvalidInput(f"{options.criteria}: {error}") from error
    return order


def _require_sense(options: GateOptions) -> None:
    if options.streams < 0:
        raise InvalidInput(f"{options.streams} streams: 0 or more can be sent")
    if options.watch < 0 or options.every < 1:
        raise InvalidInput(f"watch {options.watch} s every {options.every} s: 0 or more, 1 or more")
    if options.phase == CAPTURE and not options.baseline:
        raise InvalidInput("phase 0 captures a baseline: say with --baseline where to write it")
    if options.proxy and options.phase != CAPTURE:
        raise InvalidInput("--proxy: only phase 0 measures the old path; leave it out")
    if options.config and options.fingerprint:
        raise InvalidInput("give either the configuration or its fingerprint, not both")
    for path in (options.evidence, options.baseline if options.phase == CAPTURE else ""):
        if path and not Path(path).expanduser().parent.is_dir():
            raise InvalidInput(f"{path}: there is no folder {Path(path).expanduser().parent}")


def _switches(found: Mapping[ConfigName, bytes | None], folder: Path) -> tuple[bool, bool]:
    """Return `gatewayEnabled` and `proxyEnabled` as the daemon will read them."""
    data, path = found.get(ConfigName.DAEMON), folder / ConfigName.DAEMON.filename
    if data is None:
        return True, False
    checked = config.check_file(ConfigName.DAEMON, path, data)
    if checked.errors:
        raise InvalidInput(str(checked.errors[0]), findings=checked.errors)
    row = checked.document
    return bool(row.get("gatewayEnabled", True)), bool(row.get("proxyEnabled", False))


def _overridden(found: Mapping[ConfigName, bytes | None], path: Path) -> frozenset[str]:
    """Return the models that a rule replaces; none when no files were named."""
    data = found.get(ConfigName.OVERRIDES)
    if data is None:
        return frozenset()
    planned = config.read_overrides(path, data)
    return frozenset(rule.source for rule in planned.rules) if planned.enabled else frozenset()


def _baseline(path: str, files: Files) -> Baseline | None:
    data = read_typed("--baseline", path, files)
    return None if data is None else read_baseline(data, Path(path))


def _approvals(path: str, files: Files) -> Mapping[str, tuple[Attestation, ...]] | None:
    data = read_typed("--approvals", path, files)
    return None if data is None else read_approvals(data, Path(path))


def _path(text: str) -> Path | None:
    return Path(text).expanduser().absolute() if text else None


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


def _base(url: str) -> str:
    if "@" in url:
        raise InvalidInput("the URL of a gateway or proxy: write it without user and password")
    form = f"{url}: write http://HOST:PORT, without a path"
    try:
        parts = urlsplit(url)
        known = parts.hostname and parts.port != 0
    except ValueError as error:
        raise InvalidInput(form) from error
    if parts.scheme not in {"http", "https"} or not known or parts.path.strip("/"):
        raise InvalidInput(form)
    return f"{parts.scheme}://{parts.netloc}"
