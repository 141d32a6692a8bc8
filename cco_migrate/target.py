"""Which gateway a command is about: the demo unless somebody names theirs. Reads files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from cco_migrate.demo import DIRECTORY, Demo
from cco_migrate.drivers import DRIVERS
from cco_migrate.drivers.command import split
from cco_migrate.errors import InvalidInput
from cco_migrate.model import DriverSpec, Instance
from cco_migrate.world import World

DEFAULT_URL = "http://127.0.0.1:3000"


@dataclass(frozen=True, slots=True)
class Target:
    """What the operator said of the deployment; empty strings where nothing was said."""

    home: str = ""
    config: str = ""
    url: str = ""
    driver: str = ""
    stop: str = ""
    start: str = ""
    restart: str = ""
    log: str = ""

    def is_demo(self, environment: Mapping[str, str]) -> bool:
        """Return whether nothing names a deployment of the operator's own."""
        return self == Target() and not environment.get("CCO_HOME")


def home_of(target: Target, environment: Mapping[str, str], world: World) -> Path:
    """Return the state root a command works in."""
    if target.is_demo(environment):
        return Demo(DIRECTORY, world).home
    return Path(target.home or environment.get("CCO_HOME") or "~/.cco").expanduser().resolve()


def refuse_missing_home(target: Target, environment: Mapping[str, str]) -> None:
    """Raise InvalidInput when a state root was named that is not there: most likely a slip.

    To go on would look at nothing and say so, or begin another deployment beside the one meant.
    """
    named = target.home or environment.get("CCO_HOME")
    if not named or Path(named).expanduser().is_dir():
        return
    raise InvalidInput(
        f"{'--home' if target.home else '$CCO_HOME'} {named}: there is no such folder",
        next_command="the same command with the state root of your deployment; a task that begins "
        "one there is told its file, too: --config PATH",
    )


def instance_of(target: Target, environment: Mapping[str, str], world: World) -> Instance:
    """Return the instance a command is about.

    Raises:
        InvalidInput: An option makes no sense, or the demo does not exist yet.
    """
    if target.is_demo(environment):
        demo = Demo(DIRECTORY, world)
        if not demo.exists:
            raise InvalidInput(
                "there is no demo deployment here, and no other was named",
                next_command="invoke migrate   (creates the demo), "
                "or name yours: --config PATH --url URL",
            )
        return demo.instance()
    home = home_of(target, environment, world)
    url = _url(target.url or _recorded_url(home, world) or DEFAULT_URL)
    config = Path(target.config).expanduser().resolve() if target.config else None
    config = config or home / "config" / "model-overrides.toml"
    driver = _driver(target)
    log = Path(target.log).expanduser().resolve() if target.log else None
    if log is None and driver.kind == "process":
        log = home / "daemon.log"
    return Instance(urlsplit(url).netloc, url, config, home, driver, log)


def _driver(target: Target) -> DriverSpec:
    commands = bool(target.stop or target.start or target.restart)
    kind = target.driver or ("command" if commands else "process")
    if kind not in DRIVERS:
        raise InvalidInput(f"--driver {kind}: unknown; there is: {', '.join(DRIVERS)}")
    if kind == "process" and commands:
        raise InvalidInput("--stop, --start and --restart belong to --driver command")
    if kind == "command" and not (target.restart or (target.stop and target.start)):
        raise InvalidInput(
            "--driver command needs --stop and --start, or --restart: the commands you would type, "
            "e.g. --restart 'systemctl restart cco'"
        )
    if target.restart and (target.stop or target.start):
        raise InvalidInput("give either --restart, or --stop and --start: not both")
    for option in ("stop", "start", "restart"):
        if command := getattr(target, option):
            split(command, f"--{option}")
    return DriverSpec(kind, target.stop, target.start, target.restart)


def _url(text: str) -> str:
    text = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise InvalidInput(f"--url {text}: {error}") from error
    if "@" in parts.netloc:
        raise InvalidInput("--url: write http://HOST:PORT, without user and password")
    if parts.scheme != "http" or not parts.hostname or parts.query or parts.fragment:
        raise InvalidInput(f"--url {text}: write http://HOST:PORT")
    if parts.path.rstrip("/"):
        raise InvalidInput(
            f"--url {text}: leave out {parts.path}; the base URL has no path "
            "(clients add /v1 themselves)"
        )
    if port == 0:
        raise InvalidInput(f"--url {text}: port 0 means the gateway has not told its port yet")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"http://{host}:{port or 80}"


def _recorded_url(home: Path, world: World) -> str | None:
    data = world.files.read_if_there(home / "daemon.pid")
    try:
        row = json.loads(data or b"")
        # Without a gateway port, on the old path, the operator API answers all the same.
        port = row["port"] if row["gateway_port"] is None else row["gateway_port"]
        return f"http://127.0.0.1:{int(port)}"
    except (ValueError, KeyError, TypeError):
        return None
