"""Which agent a request comes from."""
