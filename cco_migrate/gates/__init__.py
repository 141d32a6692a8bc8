"""Go/no-go gates, run as tests: by `invoke gate`, or by pytest on this package.

phases     which criteria a phase asks; order: what one gate is to measure
measuring  looks before, verification traffic, looks after
evidence   what was measured as evidence of each criterion; soundness: of those all others
           rest on; observed: evidence with its notes; pure
outcome    the verdict, with what was left out; rendering: for machines, CI and people; pure
plugin     turns a run of pytest into a verdict; running: a run of pytest as one call

A run that leaves a criterion out is INCONCLUSIVE, whatever pytest itself says of it.
"""
