"""The gateway's command line: run, daemon, launch, check-config, reload, replace, demo-upstream."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.errors import AlreadyRunning, GatewayError

if TYPE_CHECKING:
    from gateway.serve.supervisor import SupervisorPlan

_USAGE = 2
_ALREADY_RUNNING = 11
_DEFAULT_PORT = 3000
_DRAINED_S = 660.0  # the default drain and a minute for what comes after it

Command = Callable[[argparse.Namespace, Path], int]


def main(argv: list[str] | None = None) -> int:
    """Run one command; return its exit code. Expected errors are one line on standard error."""
    words = sys.argv[1:] if argv is None else argv
    if words[:1] == ["demo-upstream"]:
        from gateway.demo import upstream  # noqa: PLC0415 - each command loads only what it needs

        return upstream.main(words[1:])
    words, client = _split(words)
    arguments = _parser().parse_args(words)
    arguments.client = client
    home = arguments.home or Path(os.environ.get("CCO_HOME") or Path.home() / ".cco")
    try:
        return int(arguments.command(arguments, home.expanduser().absolute()))
    except AlreadyRunning as error:
        print(f"Error: {error}; it goes on, see: cco-gateway daemon status", file=sys.stderr)
        return _ALREADY_RUNNING
    except (GatewayError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1


def _run(arguments: argparse.Namespace, home: Path) -> int:
    from gateway.serve import handover, logs, supervisor  # noqa: PLC0415 - as above

    logs.to_stderr()
    with handover.from_predecessor(os.environ) as predecessor:
        return supervisor.run(_plan(arguments, home), predecessor)


def _plan(arguments: argparse.Namespace, home: Path) -> SupervisorPlan:
    from importlib.metadata import version  # noqa: PLC0415 - as above

    from gateway.config.loading import load  # noqa: PLC0415 - as above
    from gateway.serve import last_ports, run_words, supervisor  # noqa: PLC0415 - as above

    config_dir = _config_dir(arguments, home)
    settings = load(config_dir, home)
    server = settings.server
    port = server.port if arguments.port is None else arguments.port
    any_word = ("--any-port",) if arguments.any_port else ()
    any_port = port is None and arguments.any_port
    if port is None:
        port = (last_ports.recall(home).port or 0) if any_port else _DEFAULT_PORT
    return supervisor.SupervisorPlan(
        home=home,
        config_dir=config_dir,
        host=server.host if arguments.host is None else arguments.host,
        port=port,
        workers=arguments.workers or server.workers or _cpus(),
        drain_s=server.drain_s,
        version=version("cco-migrate"),
        run=os.environ.get("CCO_MIGRATE_RUN") or None,
        any_address=bool(settings.clients),
        port_optional=any_port,
        argv=("-m", "gateway", "run", "--home", str(home), *any_word, *run_words.given(arguments)),
    )


def _check_config(arguments: argparse.Namespace, home: Path) -> int:
    from gateway.config.loading import load  # noqa: PLC0415 - as above

    config_dir = _config_dir(arguments, home)
    settings = load(config_dir, home)
    overrides, server, daemon = settings.overrides, settings.server, settings.daemon
    port = _DEFAULT_PORT if server.port is None else server.port
    print(f"Configuration:   {config_dir}")
    print(f"Fingerprint:     {settings.fingerprint}")
    share = f" for {daemon.gateway_share} % of launches" if daemon.is_canary else ""
    print(f"Gateway:         {'enabled' if daemon.gateway_enabled else 'disabled'}{share}")
    print(f"Legacy proxy:    {'enabled' if daemon.proxy_enabled else 'disabled'}")
    print(f"Model overrides: {'enabled' if overrides.enabled else 'disabled'}")
    print(f"Override rules:  {len(overrides.rules)}")
    print(f"Listener:        {server.host} port {port}, workers {server.workers or _cpus()}")
    for warning in settings.warnings:
        print(f"Warning: {warning}", file=sys.stderr)
    return 0


def _launch(arguments: argparse.Namespace, home: Path) -> int:
    if not arguments.client:
        print("Error: name the client: launch [options] -- CLIENT …", file=sys.stderr)
        return _USAGE
    return _served("launch")(arguments, home)


def _served(name: str) -> Command:
    """Return a command of `gateway.serve.commands`, loaded when it is run."""

    def command(arguments: argparse.Namespace, home: Path) -> int:
        from gateway.serve import commands  # noqa: PLC0415 - as above

        found: Command = getattr(commands, name)
        return found(arguments, home)

    return command


def _config_dir(arguments: argparse.Namespace, home: Path) -> Path:
    found: Path = arguments.config_dir or home / "config"
    return found.absolute()


def _split(words: list[str]) -> tuple[list[str], tuple[str, ...]]:
    """Return our own words and the client's, which follow the first `--`."""
    if words[:1] != ["launch"] or "--" not in words:
        return words, ()
    at = words.index("--")
    return words[:at], tuple(words[at + 1 :])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cco-gateway", allow_abbrev=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = _add(commands, "run", _run, "Run the gateway in the foreground.")
    _add_listener(run)
    run.add_argument(
        "--any-port",
        action="store_true",
        help="without a port here or in gateway.toml: that of the last run, else any free one",
    )
    _add_config_dir(_add(commands, "check-config", _check_config, "Check the configuration."))
    _add_daemon(commands)
    launch = _add(commands, "launch", _launch, "Start a client behind the gateway: -- CLIENT …")
    _add_config_dir(launch)
    launch.add_argument(
        "--on-missing",
        choices=("fail", "direct"),
        default="fail",
        help="what to do when there is no gateway (default: fail)",
    )
    text = "Say which way sessions go while launches are divided (default: of this folder)."
    canary = _add(commands, "canary", _served("canary"), text)
    canary.add_argument("session_id", nargs="*", metavar="SESSION_ID")
    _add_config_dir(canary)
    # The same as `daemon status` and `daemon stop`.
    _add(commands, "status", _served("status"), "Say whether the daemon runs; 3 when not.")
    _add_stop(commands)
    reload = _add(commands, "reload", _served("reload"), "Replace the workers: edits take effect.")
    reload.add_argument("--timeout", type=float, default=60, metavar="SECONDS")
    replace = _add(commands, "replace", _served("replace"), "Replace the daemon by a new process.")
    _add_replacement(replace)
    commands.add_parser("demo-upstream", help="Run the demonstration provider.")
    return parser


def _add_daemon(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "Run the gateway in the background."
    parser = commands.add_parser("daemon", help=text, description=text, allow_abbrev=False)
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    for name, text in (
        ("start", "Start the daemon and wait until it serves."),
        ("restart", "Replace the daemon: port, options and environment stay, no request is lost."),
    ):
        starting = _add(verbs, name, _served(name), text)
        _add_listener(starting)
        if name == "restart":
            _add_replacement(starting)
        else:
            starting.add_argument("--timeout", type=float, default=30, metavar="SECONDS")
    _add(verbs, "status", _served("status"), "Say what listens where; exit code 3 when down.")
    _add_stop(verbs)
    logs = _add(verbs, "logs", _served("logs"), "Print the end of the log.")
    logs.add_argument("-f", "--follow", action="store_true", help="go on with what is appended")
    logs.add_argument("-n", "--lines", type=_positive, default=50, metavar="LINES")


def _add_stop(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    stop = _add(commands, "stop", _served("stop"), "Drain and stop the daemon.")
    stop.add_argument(
        "--timeout",
        type=float,
        default=_DRAINED_S,
        metavar="SECONDS",
        help=f"after which it is killed (default: {_DRAINED_S:g})",
    )


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    command: Command,
    text: str,
) -> argparse.ArgumentParser:
    added = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
    added.set_defaults(command=command)
    added.add_argument("--home", type=Path, help="state root (default: $CCO_HOME or ~/.cco)")
    return added


def _add_listener(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--host",
        help="address to listen on, loopback unless clients show tokens (default: gateway.toml)",
    )
    parser.add_argument("--port", type=_port, help="0 takes a free one (default: gateway.toml)")
    parser.add_argument(
        "--workers", type=_workers, help='processes, or "auto" (default: gateway.toml)'
    )
    _add_config_dir(parser)


def _add_replacement(parser: argparse.ArgumentParser) -> None:
    text = "interpreter of the new process (default: that of the running one)"
    parser.add_argument("--python", type=Path, help=text)
    parser.add_argument("--timeout", type=float, default=60, metavar="SECONDS")


def _add_config_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config-dir", type=Path, help="default: config in the state root")


def _port(word: str) -> int:
    port = int(word)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{word} is not a port")
    return port


def _positive(word: str) -> int:
    number = int(word)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{word} is not a number above 0")
    return number


def _workers(word: str) -> int:
    return _cpus() if word == "auto" else _positive(word)


def _cpus() -> int:
    """Return how many CPUs this process may use: a container's share can be smaller than all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


if __name__ == "__main__":
    sys.exit(main())
