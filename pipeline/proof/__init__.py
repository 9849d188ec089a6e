"""Checks that a SavedModel computes what its checkpoint does."""
