"""What a change would do to recorded traffic, as the gateway itself says."""
