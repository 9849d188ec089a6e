"""Writes, repairs and reads SavedModels."""
