"""The dialects providers speak, one row each. Pure.

Every row builds the headers and the target of an upstream request; a new dialect is a new module
and a new row.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.providers import anthropic, azure, deepseek, localai, ollama, openai, tgi, vllm
from gateway.providers.dialect import CREDENTIALS, Dialect

__all__ = ["CREDENTIALS", "PROVIDERS", "Dialect"]

PROVIDERS: Mapping[str, Dialect] = {
    "anthropic": anthropic.DIALECT,
    "openai": openai.DIALECT,
    "azure": azure.DIALECT,
    "deepseek": deepseek.DIALECT,
    "ollama": ollama.DIALECT,
    "vllm": vllm.DIALECT,
    "tgi": tgi.DIALECT,
    "localai": localai.DIALECT,
}
