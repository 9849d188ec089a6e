"""Translates the StableHLO of a SavedModel into the operations of other runtimes; it knows no architecture."""
