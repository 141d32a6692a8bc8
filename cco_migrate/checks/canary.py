"""Does the launcher divide clients as its share says? Asks it for many sessions, launches two."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from cco_migrate.checks.launcher import (
    TIMEOUT_S,
    judged,
    last_words,
    launched,
    launcher_of,
)
from cco_migrate.context import Context
from cco_migrate.errors import ToolkitError
from cco_migrate.model import JsonObject, Step
from cco_migrate.verdict import Judgement, Verdict

WAYS = ("gateway", "proxy")
SESSIONS = 1000
"""How many sessions are drawn at least."""

_AT_ONCE, _MOST = 500, 6000  # one more share of 1 % without a session there: once in 10^26
_SIGMAS = 6.0  # once in 10^9 an honest launcher is further off
_WAY = re.compile(rf"^({'|'.join(WAYS)}) \(\d+\):(.*)$", re.MULTILINE)


class LauncherDivides:
    """Params: `share`, how many of a hundred launches go to the gateway.

    The draw is the launcher's own and nothing is known of it here: it is judged by its outcome, as
    far as chance goes. One session of each way is launched, and must end up there.
    """

    def prepare(self, step: Step, context: Context) -> JsonObject:
        """Note the port of the old proxy that earlier steps saw; None when they saw none."""
        return {"old_proxy_port": context.evidence.get("state", {}).get("proxy_port")}

    def measure(self, step: Step, receipt: JsonObject, context: Context) -> JsonObject:
        """Have sessions drawn, and launch the first of each way."""
        context.waiting("sessions to be drawn and launched", TIMEOUT_S)
        drawn: dict[str, list[str]] = {way: [] for way in WAYS}
        asked, share = 0, step.params["share"]
        wanted = [way for way, some in zip(WAYS, (share > 0, share < 100), strict=True) if some]
        while asked < SESSIONS or (asked < _MOST and not all(drawn[way] for way in wanted)):
            try:
                found = _drawn(range(asked, asked + _AT_ONCE), context)
            except ToolkitError as error:
                return {"unmeasured": str(error)}
            if isinstance(found, str):
                return {"refused": found}
            for way, sessions in found.items():
                drawn[way] += sessions
            asked += _AT_ONCE
        old = receipt["old_proxy_port"]
        launches = [
            {"to": way, "session": drawn[way][0], **launched(context, old, drawn[way][0])}
            for way in wanted
            if drawn[way]
        ]
        return {"asked": asked, "gateway": len(drawn[WAYS[0]]), "launches": launches}

    def judge(self, step: Step, facts: JsonObject) -> Judgement:
        """GO when as many sessions go to the gateway as the share says, give or take chance."""
        if "unmeasured" in facts:
            return Judgement(step.id, Verdict.INCONCLUSIVE, str(facts["unmeasured"]), dict(facts))
        if "refused" in facts:
            said = f"the launcher does not divide clients: {facts['refused']}"
            return Judgement(step.id, Verdict.NO_GO, said, dict(facts))
        share, asked, gateway = step.params["share"] / 100, facts["asked"], facts["gateway"]
        said = f"{gateway} of {asked} sessions go to the gateway, the share is {share:.0%}"
        if abs(gateway - asked * share) > _SIGMAS * math.sqrt(asked * share * (1 - share)):
            return Judgement(step.id, Verdict.NO_GO, f"{said}: that is no chance", dict(facts))
        for one in facts["launches"]:
            led = judged(step, one["to"], one)
            if led.verdict is not Verdict.GO:
                said = f"a session drawn for the {one['to']}: {led.summary}"
                return Judgement(step.id, led.verdict, said, dict(facts))
        both = " and ".join(str(one["to"]) for one in facts["launches"])
        return Judgement(step.id, Verdict.GO, f"{said}; launched: {both}", dict(facts))


def _drawn(numbers: range, context: Context) -> Mapping[str, list[str]] | str:
    """Return the sessions by their way, or why none is drawn; raises ToolkitError."""
    command = [*launcher_of(context, "canary"), *map(str, numbers)]
    done = context.world.processes.run(command, TIMEOUT_S)
    found = {way: words.split() for way, words in _WAY.findall(done.output)}
    if done.code or found.keys() != set(WAYS) or sum(map(len, found.values())) != len(numbers):
        return last_words(done.output) or f"exit code {done.code}"
    return found
