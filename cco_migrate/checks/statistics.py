"""Do the gateway's statistics agree with what was sent? Request ids first, counters second."""

from __future__ import annotations

from cco_migrate.client import NotAGateway, Unreachable
from cco_migrate.context import Context
from cco_migrate.model import JsonObject, Step
from cco_migrate.verdict import Judgement, Verdict

SETTLE_S = 5.0


class StatisticsAgree:
    """Params: none; compares with the evidence of step `traffic`."""

    def prepare(self, step: Step, context: Context) -> JsonObject:
        """Nothing to capture: the traffic step took the baseline."""
        return {}

    def measure(self, step: Step, receipt: JsonObject, context: Context) -> JsonObject:
        """Read the counters and the audit entries of the requests that were sent."""
        sent = context.evidence.get("traffic", {})
        if not sent:
            return {"unmeasured": "no verification traffic was sent in this run"}
        try:
            context.world.clock.wait_until(lambda: _counted(context, sent), SETTLE_S)
            now = context.gateway.overrides()
            audit = (
                context.gateway.audit(request_ids=sent["request_ids"])
                if sent["request_ids"]
                else None
            )
        except (Unreachable, NotAGateway) as error:
            return {"unmeasured": str(error)}
        return {
            "expected": sent["expected_overrides"],
            "counted": now.total - sent["baseline"]["total"],
            "sent_ids": len(sent["request_ids"]),
            "audited_ids": None
            if audit is None
            else len({row["request_id"] for row in audit} & set(sent["request_ids"])),
            "audited_overrides": None
            if audit is None
            else sum(row["requested_model"] != row["model"] for row in audit),
            "unmatched": sent["sent"] - sent["expected_overrides"],
        }

    def judge(self, step: Step, facts: JsonObject) -> Judgement:
        """GO when counters are non-zero and ids, audit and counters tell the same story."""
        if "unmeasured" in facts:
            return Judgement(step.id, Verdict.INCONCLUSIVE, str(facts["unmeasured"]), {})
        expected, counted = facts["expected"], facts["counted"]
        if counted == 0:
            said = "0 overrides counted"
            if facts["audited_overrides"]:
                said += f" though the audit has {facts['audited_overrides']}"
                said += ": the gateway does not count them"
            elif facts["audited_ids"]:
                said += f" though {facts['audited_ids']} requests reached the gateway"
                said += ": no rule matches them"
            elif facts["audited_ids"] == 0:
                said += " and none of the requests is in the audit: they bypass the gateway"
            return Judgement(
                step.id, Verdict.NO_GO if expected else Verdict.INCONCLUSIVE, said, dict(facts)
            )
        if counted < expected:
            said = f"{counted} overrides counted, {expected} expected"
            return Judgement(step.id, Verdict.NO_GO, said, dict(facts))
        audited = facts["audited_overrides"]
        if audited is None:
            said = f"{counted} overrides counted, {expected} expected"
            said += "; this gateway keeps no audit to compare with"
            return Judgement(step.id, Verdict.GO, said, dict(facts))
        if facts["audited_ids"] != facts["sent_ids"] or audited != expected:
            said = (
                f"{facts['audited_ids']} of {facts['sent_ids']} requests are in the audit, "
                f"{audited} overridden there, {expected} expected"
            )
            return Judgement(step.id, Verdict.NO_GO, said, dict(facts))
        extra = f" (+{counted - expected} of other clients)" if counted > expected else ""
        said = (
            f"{expected} overridden = {audited} audited = {expected} expected{extra}; "
            f"{facts['unmatched']} unmatched, as planned"
        )
        return Judgement(step.id, Verdict.GO, said, dict(facts))


def _counted(context: Context, sent: JsonObject) -> bool:
    """Statistics may lag the last answer by a commit: give them a moment."""
    counted: int = context.gateway.overrides().total - sent["baseline"]["total"]
    return counted >= int(sent["expected_overrides"])
