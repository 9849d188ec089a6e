"""Reads, verifies and records checkpoints."""
