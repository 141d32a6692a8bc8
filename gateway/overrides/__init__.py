"""Which model is asked instead, for whom, and what changes so that it accepts the request. Pure."""
