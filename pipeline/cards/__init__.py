"""Writes the pages of a hub and checks the rules that they must keep."""
