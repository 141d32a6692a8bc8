"""Plan, carry out, verify and roll back changes to an LLM gateway."""

__version__ = "0.1.0"
