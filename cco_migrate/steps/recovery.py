"""The last step of a way back: when has every client left what was taken back? Only looks."""

from __future__ import annotations

from datetime import datetime

from cco_migrate.client import NotAGateway, Unreachable
from cco_migrate.context import Context, Outcome
from cco_migrate.model import JsonObject, Step

WAIT_S = 15.0  # three times what a leaving worker grants an idle connection by default


class LastClient:
    """Wait, bounded, until the workers from before the way back have ended.

    A stream that was open when they were replaced runs to its end on them; every request since
    then is served by the restored configuration. A stream may take minutes, and a person wants to
    hear of the rollback now: what is still open after 15 s is told, and is no fault.

    Facts: `recovered_s`: seconds from the begin of the restart until the last of them ended, None
    when that was not seen; `draining`: how many had not ended.
    """

    def prepare(self, step: Step, context: Context) -> JsonObject:
        """Nothing to capture."""
        return {}

    def apply(self, step: Step, receipt: JsonObject, context: Context) -> Outcome:
        """Watch `/gateway/workers`; a gateway that has none is told as not measured."""
        begun_at = context.evidence["back-restart"].get("begun_at")
        if begun_at is None:
            return Outcome("no client had to move", {"recovered_s": 0.0, "draining": 0})
        context.waiting("the last client to leave the old workers", WAIT_S)
        try:
            ended = context.world.clock.wait_until(lambda: not _draining(context), WAIT_S)
            left = 0 if ended else _draining(context)
        except (Unreachable, NotAGateway) as error:
            return Outcome(f"not measured: {error}", {"recovered_s": None, "draining": None})
        if left:
            whose = (
                "1 old worker still finishes" if left == 1 else f"{left} old workers still finish"
            )
            said = f"{whose} what began before the restart; everything since is served as before"
            return Outcome(said, {"recovered_s": None, "draining": left})
        passed = context.world.clock.now() - datetime.fromisoformat(begun_at)
        seconds = round(passed.total_seconds(), 3)
        facts = {"recovered_s": seconds, "draining": 0}
        return Outcome(f"the last client had recovered {seconds:.1f} s after the restart", facts)

    def undo(self, step: Step, receipt: JsonObject, context: Context) -> str:
        """Nothing to take back."""
        return ""


def _draining(context: Context) -> int:
    """Count the workers that only finish what they have.

    Raises:
        NotAGateway: This gateway does not say.
    """
    found = context.gateway.workers()
    if found is None:
        raise NotAGateway(f"{context.instance.url} does not say which workers it has")
    return sum(worker.state == "draining" for worker in found.workers)
