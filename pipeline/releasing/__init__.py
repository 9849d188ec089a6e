"""Releases a hub to a target: what would be written, then exactly that, in an order that survives kills."""
