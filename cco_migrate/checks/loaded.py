"""Is the plan's configuration the one that serves? Every worker's fingerprint, not a sample."""

from __future__ import annotations

from cco_migrate import config
from cco_migrate.client import NotAGateway, Unreachable
from cco_migrate.context import Context
from cco_migrate.model import JsonObject, Step
from cco_migrate.verdict import Judgement, Verdict


class ConfigurationLoaded:
    """Params: `overrides_enabled`, `override_rules`, `fingerprint`: what must be loaded.

    A fingerprint of None means that of the files as they are when the check is made.
    """

    def prepare(self, step: Step, context: Context) -> JsonObject:
        """Nothing to compare with: the plan says what must be loaded."""
        return {}

    def measure(self, step: Step, receipt: JsonObject, context: Context) -> JsonObject:
        """Ask `/health`, and every worker through `/gateway/workers`."""
        try:
            health, found = context.gateway.health(), context.gateway.workers()
        except (Unreachable, NotAGateway) as error:
            return {"unmeasured": str(error)}
        planned = step.params["fingerprint"]
        return {
            "expected": planned or config.fingerprint(context.config_files()),
            "status": health.status,
            "overrides_enabled": health.overrides_enabled,
            "override_rules": health.override_rules,
            "fingerprint": health.fingerprint,
            "workers": None if found is None else [w.fingerprint for w in found.serving],
        }

    def judge(self, step: Step, facts: JsonObject) -> Judgement:
        """GO when all workers report the plan's fingerprint.

        A gateway without a fingerprint is proved by flag and rule count.
        """
        if "unmeasured" in facts:
            return Judgement(step.id, Verdict.NO_GO, str(facts["unmeasured"]), {})
        wanted = step.params["overrides_enabled"]
        if facts["overrides_enabled"] is None:
            said = "/health does not say whether overrides are enabled"
            return Judgement(step.id, Verdict.INCONCLUSIVE, said, dict(facts))
        if facts["overrides_enabled"] is not wanted:
            said = (
                f"/health says overrides_enabled: {str(facts['overrides_enabled']).lower()}, "
                f"the file says {str(wanted).lower()}: the running process ignores the edit"
            )
            return Judgement(step.id, Verdict.NO_GO, said, dict(facts))
        return self._fingerprints(step, facts)

    @staticmethod
    def _fingerprints(step: Step, facts: JsonObject) -> Judgement:
        flag = f"overrides_enabled: {str(step.params['overrides_enabled']).lower()}"
        workers, wanted = facts["workers"], facts["expected"]
        if workers is None and facts["fingerprint"] is None:
            rules = step.params["override_rules"]
            if facts["override_rules"] != rules:
                said = f"/health says {facts['override_rules']} rules, the file has {rules}"
                return Judgement(step.id, Verdict.NO_GO, said, dict(facts))
            said = f"{flag}, {rules} rules; assumed from /health: this gateway gives no fingerprint"
            return Judgement(step.id, Verdict.GO, said, dict(facts))
        loaded = workers if workers is not None else [facts["fingerprint"]]
        of = "plan" if step.params["fingerprint"] else "files"
        right = sum(fingerprint == wanted for fingerprint in loaded)
        said = f"{right} of {len(loaded)} workers report {wanted} = {of}; {flag}"
        verdict = Verdict.GO if loaded and right == len(loaded) else Verdict.NO_GO
        return Judgement(step.id, verdict, said, dict(facts))
