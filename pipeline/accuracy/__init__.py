"""Measures how well a classifier classifies."""
