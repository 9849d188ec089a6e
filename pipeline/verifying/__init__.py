"""Checks hubs and modules from outside: digests, claims, statements, and signatures that lead to a pinned root."""
