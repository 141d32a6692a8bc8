"""Judges evidence: four verdicts, exact figures, and what each rests on. Pure.

criterion   what is asked; terms: how often somebody looks and which errors are accepted
ruling      the one rule: evidence → interval → verdict with its sentence
gate        all criteria of a gate together: multiplicity, integrity first, worst verdict wins
forecast    how many samples (stopping), and how long, until a criterion can decide

Evidence, one module a kind, is the table below. A new kind needs a row here and in `Kind`.
"""

from __future__ import annotations

from collections.abc import Mapping

from cco_migrate.judge.attestations import Attestations
from cco_migrate.judge.charges import Charges, ChargeTotals
from cco_migrate.judge.counts import Count
from cco_migrate.judge.criterion import Kind
from cco_migrate.judge.differences import RateDifference
from cco_migrate.judge.integrity import Invariant
from cco_migrate.judge.means import WindowMeans
from cco_migrate.judge.outages import Outages
from cco_migrate.judge.populations import Population
from cco_migrate.judge.rates import Rate
from cco_migrate.judge.ratios import Ratio
from cco_migrate.judge.records import SentIds, Sequences
from cco_migrate.judge.ruling import Evidence

EVIDENCE: Mapping[Kind, tuple[type[Evidence], ...]] = {
    Kind.RATE: (Rate,),
    Kind.DIFFERENCE: (RateDifference,),
    Kind.POPULATION: (Population,),
    Kind.OUTAGE: (Outages,),
    Kind.RATIO: (Ratio,),
    Kind.MEAN: (WindowMeans,),
    Kind.RECORDS: (SentIds, Sequences),
    Kind.CHARGES: (Charges, ChargeTotals),
    Kind.INVARIANT: (Invariant,),
    Kind.COUNT: (Count,),
    Kind.ATTESTATION: (Attestations,),
}
