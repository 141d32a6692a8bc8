"""The gate itself, one test a criterion: `pytest --pyargs cco_migrate.gates --gateway-url URL`."""

from __future__ import annotations

import pytest

from cco_migrate.gates.outcome import Row


def test_criterion_is_met(finding: Row) -> None:
    """Fail on NO-GO, and on HOLD, which a person decides; INCONCLUSIVE ends before in an error."""
    if finding.ruling.enforced and finding.ruling.in_the_way:
        pytest.fail(f"{finding.ruling.verdict}  {finding.text}", pytrace=False)
