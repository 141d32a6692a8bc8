"""Measures the gateway beside nginx as a plain reverse proxy, and beside the upstream itself."""
