"""The formats of a module."""
