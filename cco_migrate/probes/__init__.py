"""Probes look at a gateway: they never raise for a sick one and say what they could not measure.

site       what is looked at, and how it is asked
instances  health, the fingerprint of every worker, providers
counters   cumulative counters and histograms, and how they grew
canaries   requests whose right answer is known; pure
streams    one canary sent, its stream compared with what must have come
audited    what a record is, and whose requests are real; pure
records    audit records: of the requests that were sent, of everybody's newest
sequences  the numbers of accepted requests, followed process by process; pure
proxied    the way through a forward proxy
tallies    the figures of real traffic, out of all counters; pure
glances    one short look: up, tally and footprint; kept as a line of JSON
windows    growth from look to look, with resets detected; pure
footprint  what a daemon on this machine leaves behind: record, memory, files, log
"""
