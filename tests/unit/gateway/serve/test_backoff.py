"""The wait before a process that died is started again."""

from __future__ import annotations

from itertools import pairwise

from gateway.serve import backoff


def test_first_crash_is_mended_at_once_and_later_ones_wait_longer_up_to_a_bound() -> None:
    delays = [backoff.delay_s(crashes) for crashes in range(100)]
    assert delays[0] == 0
    assert all(before <= after for before, after in pairwise(delays))
    assert delays[-1] == 30
