"""Drive any gateway with the operator's own commands, run without a shell."""

from __future__ import annotations

import shlex

from cco_migrate.client import GatewayClient, NotAGateway, Unreachable
from cco_migrate.context import Context
from cco_migrate.drivers.orphans import birthmark
from cco_migrate.drivers.started import Started
from cco_migrate.errors import InvalidInput, ToolkitError


class CommandDriver:
    """A gateway that is stopped and started by commands such as `systemctl stop cco`."""

    def __init__(self, context: Context) -> None:
        self.context = context

    def find(self) -> str | None:
        """Return its URL when something answers there."""
        return self.context.instance.url if self._answers() else None

    def pid(self) -> int | None:
        """Return None: the operator's commands name no process."""
        return None

    def can_replace(self) -> bool:
        """Return False: of a foreign gateway it is not known that its socket stays open."""
        return False

    def replace(self) -> None:
        """Raise: see can_replace."""
        raise ToolkitError("this gateway can only be stopped and started")

    def stop(self, timeout_s: float) -> str:
        """Run the stop command to its end, then wait until nobody answers."""
        spec = self.context.instance.driver
        if not spec.stop:
            return "left to the restart command"
        done = self.context.world.processes.run(split(spec.stop, "--stop"), timeout_s)
        if done.code != 0:
            raise ToolkitError(
                f"`{spec.stop}` ended with {done.code}: {done.output.strip()[-400:]}"
            )
        self.context.waiting(f"{self.context.instance.url} to stop answering", timeout_s)
        if not self.context.world.clock.wait_until(lambda: not self._answers(), timeout_s):
            raise ToolkitError(f"{self.context.instance.url} still answers after `{spec.stop}`")
        return spec.stop

    def start(self) -> Started:
        """Run the start (or restart) command; one that stays in the foreground is left running."""
        spec = self.context.instance.driver
        command = split(spec.start or spec.restart, "--start")
        log = self.context.run_dir / "service.log"
        offset = log.stat().st_size if log.exists() else 0
        process = self.context.world.processes.spawn(command, log, birthmark(self.context))
        return Started(process, log, offset)

    def _answers(self) -> bool:
        try:
            GatewayClient(self.context.instance.url, self.context.world.http).health()
        except Unreachable:
            return False
        except NotAGateway:
            return True
        return True


def split(command: str, option: str) -> list[str]:
    """Split a command line into words; raises InvalidInput for an empty or unbalanced one."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise InvalidInput(f"{option} {command!r}: {error}") from error
    if not words:
        raise InvalidInput(f"{option} is empty; the command driver needs it")
    return words
