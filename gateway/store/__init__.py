"""The ledger: what every request did and cost, in one SQLite file shared by all workers."""
