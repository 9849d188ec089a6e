"""Serves a hub over HTTP."""
