"""Go/no-go gates, run as tests: by `invoke gate`, or by pytest on this package.

phases     which criteria a phase asks; questions: their checklists; order: what one gate measures
holding    one gate from its order to its verdict; callable without pytest
measuring  looks at real traffic, verification traffic, looks after; looking: one look;
           verifying: the traffic; capturing: of phase 0, both paths; measured: all of it
kept       what is kept from run to run, in the evidence_file; baseline: of the old path
evidence   what was measured as evidence of each criterion; soundness: of those all others
           rest on; traffic: of windows; recorded: of the audit; standing: of what is written;
           observed: with its notes; pure
outcome    the verdict, with what was left out; rendering: for machines, CI and people; pure
plugin     turns a run of pytest into a verdict; running: a run of pytest as one call

A run that leaves a criterion out is INCONCLUSIVE, whatever pytest itself says of it.
"""
