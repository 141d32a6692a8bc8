"""The gateway's command line: run, check-config, status, stop, reload, demo-upstream."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from gateway.errors import GatewayError

_STOPPED = 3  # what init scripts answer for "not running"


def main(argv: list[str] | None = None) -> int:
    """Run one command; return its exit code. Expected errors are one line on standard error."""
    words = sys.argv[1:] if argv is None else argv
    if words[:1] == ["demo-upstream"]:
        from gateway.demo import upstream  # noqa: PLC0415 - each command loads only what it needs

        return upstream.main(words[1:])
    arguments = _parser().parse_args(words)
    home = arguments.home or Path(os.environ.get("CCO_HOME") or Path.home() / ".cco")
    try:
        return int(arguments.command(arguments, home.expanduser().absolute()))
    except (GatewayError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1


def _run(arguments: argparse.Namespace, home: Path) -> int:
    from importlib.metadata import version  # noqa: PLC0415 - as above

    from gateway.config import load  # noqa: PLC0415 - as above
    from gateway.serve import logs, supervisor  # noqa: PLC0415 - as above

    logs.to_stderr()
    config_dir = _config_dir(arguments, home)
    settings = load(config_dir, home)
    server = settings.server
    plan = supervisor.SupervisorPlan(
        home=home,
        config_dir=config_dir,
        host=server.host if arguments.host is None else arguments.host,
        port=server.port if arguments.port is None else arguments.port,
        workers=server.workers if arguments.workers is None else arguments.workers,
        drain_s=server.drain_s,
        version=version("cco-migrate"),
        run=os.environ.get("CCO_MIGRATE_RUN") or None,
        any_address=bool(settings.clients),
    )
    return supervisor.run(plan)


def _check_config(arguments: argparse.Namespace, home: Path) -> int:
    from gateway.config import load  # noqa: PLC0415 - as above

    config_dir = _config_dir(arguments, home)
    settings = load(config_dir, home)
    overrides, server = settings.overrides, settings.server
    print(f"Configuration:   {config_dir}")
    print(f"Fingerprint:     {settings.fingerprint}")
    print(f"Model overrides: {'enabled' if overrides.enabled else 'disabled'}")
    print(f"Override rules:  {len(overrides.rules)}")
    print(f"Listener:        {server.host} port {server.port}, workers {server.workers}")
    for warning in settings.warnings:
        print(f"Warning: {warning}", file=sys.stderr)
    return 0


def _status(_: argparse.Namespace, home: Path) -> int:
    from gateway.serve import daemon  # noqa: PLC0415 - as above

    record = daemon.running(home)
    if record is None:
        print(f"stopped: no daemon runs on {home}")
        return _STOPPED
    print(f"running: pid {record.pid}, port {record.port}, version {record.version}")
    return 0


def _stop(arguments: argparse.Namespace, home: Path) -> int:
    from gateway.serve import daemon  # noqa: PLC0415 - as above

    record = daemon.stop(home, arguments.timeout)
    print(f"stopped: pid {record.pid}" if record else f"no daemon runs on {home}")
    return 0


def _reload(arguments: argparse.Namespace, home: Path) -> int:
    from gateway.serve import daemon  # noqa: PLC0415 - as above

    generation = daemon.reload(home, arguments.timeout)
    print(f"reloaded: generation {generation}")
    return 0


def _config_dir(arguments: argparse.Namespace, home: Path) -> Path:
    found: Path = arguments.config_dir or home / "config"
    return found.absolute()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cco-gateway", allow_abbrev=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: object, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        added.set_defaults(command=command)
        added.add_argument("--home", type=Path, help="state root (default: $CCO_HOME or ~/.cco)")
        return added

    run = add("run", _run, "Run the gateway in the foreground.")
    run.add_argument(
        "--host",
        help="address to listen on, loopback unless clients show tokens (default: gateway.toml)",
    )
    run.add_argument("--port", type=_port, help="0 takes a free one (default: gateway.toml)")
    run.add_argument("--workers", type=_positive, help="worker processes (default: gateway.toml)")
    check = add("check-config", _check_config, "Check the configuration and change nothing.")
    for command in (run, check):
        command.add_argument("--config-dir", type=Path, help="default: config in the state root")
    add("status", _status, f"Say whether the daemon runs; exit code {_STOPPED} when it does not.")
    stop = add("stop", _stop, "Drain and stop the daemon.")
    stop.add_argument("--timeout", type=float, default=660, metavar="SECONDS")
    reload = add("reload", _reload, "Replace the workers, so that edited files take effect.")
    reload.add_argument("--timeout", type=float, default=60, metavar="SECONDS")
    commands.add_parser("demo-upstream", help="Run the demonstration provider.")
    return parser


def _port(word: str) -> int:
    port = int(word)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{word} is not a port")
    return port


def _positive(word: str) -> int:
    number = int(word)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{word} is not a number of workers")
    return number


if __name__ == "__main__":
    sys.exit(main())
