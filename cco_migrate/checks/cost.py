"""Did the cost fall? Recomputed from tokens and the price table, beside what was billed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from cco_migrate import costs
from cco_migrate.client import NotAGateway, Unreachable
from cco_migrate.config import ConfigName
from cco_migrate.context import Context
from cco_migrate.errors import InvalidInput
from cco_migrate.judge.charges import likely_cause
from cco_migrate.model import JsonObject, Step
from cco_migrate.pricing.prices import PriceTable, Usage
from cco_migrate.verdict import Judgement, Verdict

TOLERANCE_USD = Decimal("0.000001")  # a micro-dollar a request


class CostFell:
    """Params: none; prices the overridden requests of step `traffic`."""

    def prepare(self, step: Step, context: Context) -> JsonObject:
        """Nothing to capture: the traffic step took the baseline."""
        return {}

    def measure(self, step: Step, receipt: JsonObject, context: Context) -> JsonObject:
        """Price the audited tokens at both models' rates; without an audit, count calls."""
        sent = context.evidence.get("traffic", {})
        if not sent:
            return {"unmeasured": "no verification traffic was sent in this run"}
        try:
            tracking = _tracking(context)
            if not tracking.enabled:
                return {"unmeasured": "llmGateway.costTracking.enabled is false: no cost is known"}
            rows = (
                context.gateway.audit(request_ids=sent["request_ids"])
                if sent["request_ids"]
                else None
            )
            if rows is None:
                return _from_totals(sent, context.gateway.model_totals())
        except (Unreachable, NotAGateway, InvalidInput) as error:
            return {"unmeasured": str(error)}
        return _from_audit(rows, tracking.prices())

    def judge(self, step: Step, facts: JsonObject) -> Judgement:
        """GO when the target's price was billed, to the micro-dollar, and that is less."""
        if "unmeasured" in facts:
            return Judgement(step.id, Verdict.INCONCLUSIVE, str(facts["unmeasured"]), {})
        if facts["method"] == "totals":
            said = f"{facts['target_calls']} calls billed to {', '.join(facts['targets'])}"
            said += "; amounts not recomputed: no audit"
            verdict = Verdict.GO if facts["target_calls"] else Verdict.NO_GO
            return Judgement(step.id, verdict, said, dict(facts))
        if facts["unpriced"]:
            said = f"no price for {', '.join(facts['unpriced'])}"
            return Judgement(step.id, Verdict.INCONCLUSIVE, said, dict(facts))
        billed, computed = Decimal(facts["billed_usd"]), Decimal(facts["computed_usd"])
        before = Decimal(facts["before_usd"])
        if not facts["overridden"]:
            return Judgement(
                step.id, Verdict.INCONCLUSIVE, "no overridden request to price", dict(facts)
            )
        if facts["wrong"]:
            said = f"{facts['wrong']} requests billed ${billed:.6f}"
            said += f", tokens at list price give ${computed:.6f}{_priced(facts)}"
            return Judgement(step.id, Verdict.NO_GO, said, dict(facts))
        saved = (before - billed) / before * 100 if before else Decimal(0)
        said = f"${billed:.4f} instead of ${before:.4f} ({-saved:+.1f} %)"
        said += f" for {facts['overridden']} requests"
        verdict = Verdict.GO if billed < before else Verdict.NO_GO
        return Judgement(step.id, verdict, said, {**facts, "saved_percent": f"{saved:.1f}"})


def _tracking(context: Context) -> costs.CostTracking:
    path = context.instance.config_dir / ConfigName.ORCHESTRA.filename
    return costs.read_costs(path, context.config_files()[ConfigName.ORCHESTRA])


def _from_audit(rows: Sequence[Mapping[str, Any]], table: PriceTable) -> JsonObject:  # Any: JSON
    billed = computed = before = Decimal(0)
    overridden, other_terms, unpriced = 0, 0, set()
    wrong: list[str] = []
    for row in rows:
        if row["requested_model"] == row["model"]:
            continue
        overridden += 1
        tariff, old = table.tariff(row["model"]), table.tariff(row["requested_model"])
        if row.get("terms"):  # the audit does not say all that such a price depends on
            other_terms += 1
            continue
        if tariff is None or old is None or row["cost_usd"] is None:
            known = tariff is not None and row["cost_usd"] is not None
            unpriced.add(row["requested_model"] if known else row["model"])
            continue
        charge, usage = Decimal(str(row["cost_usd"])), _usage(row)
        low, high = tariff.cost_usd(usage), tariff.cost_usd(_as_one_hour(usage))
        if not low - TOLERANCE_USD <= charge <= high + TOLERANCE_USD:
            wrong.append(row["model"])
        billed, computed, before = billed + charge, computed + low, before + old.cost_usd(usage)
    return {
        "method": "audit", "overridden": overridden, "wrong": len(wrong),
        "wrong_models": sorted(set(wrong)), "unpriced": sorted(unpriced),
        "other_terms": other_terms,
        "billed_usd": str(billed), "computed_usd": str(computed), "before_usd": str(before),
        "prices_as_of": table.as_of.isoformat(),
    }  # fmt: skip


def _priced(facts: JsonObject) -> str:
    """Return which prices were taken for what, and what to do when the gateway has others."""
    models = f" of {', '.join(facts['wrong_models'])}" if "wrong_models" in facts else ""
    cause = likely_cause(Decimal(facts["billed_usd"]), Decimal(facts["computed_usd"]))
    return f" (prices{models} as of {facts['prices_as_of']}){cause}"


def _usage(row: Mapping[str, Any]) -> Usage:  # Any: JSON
    names = ("input_tokens", "output_tokens", "cache_write_tokens", "cache_read_tokens")
    fresh, output, written, read = (int(row[name] or 0) for name in names)
    return Usage(fresh, output, cache_write_5m=written, cache_read=read)


def _as_one_hour(usage: Usage) -> Usage:
    # The audit does not say which cache lifetime was written: the charge lies between the two.
    return replace(usage, cache_write_5m=0, cache_write_1h=usage.cache_write_5m)


def _from_totals(sent: JsonObject, totals: Mapping[str, tuple[int, float]] | None) -> JsonObject:
    if totals is None:
        return {"unmeasured": "this gateway tells neither audit nor cost per model"}
    targets = sorted(set(sent["expected_targets"]))
    calls = sum(
        totals.get(model, (0, 0.0))[0] - (sent["baseline"]["models"] or {}).get(model, 0)
        for model in targets
    )
    return {"method": "totals", "targets": targets, "target_calls": calls}
