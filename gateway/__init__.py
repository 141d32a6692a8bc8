"""A streaming gateway for LLM clients: faithful pass-through, overrides, an audit record each."""
