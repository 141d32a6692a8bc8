"""Serving: HTTP framing towards clients, and the processes that share one listening socket."""
