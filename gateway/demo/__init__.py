"""The demo upstream: a loopback process that answers like a provider, with honest usage."""
