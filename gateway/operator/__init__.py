"""The operator API: what the gateway reports about itself, and the few things it can be told."""
