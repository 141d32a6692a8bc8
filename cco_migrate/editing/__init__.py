"""Edits of TOML, JSON and YAML that change one value and keep every other byte. Pure."""
