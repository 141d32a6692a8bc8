"""Wire formats as pure code: HTTP heads, JSON bodies, server-sent events."""
