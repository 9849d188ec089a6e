"""Labelled images in any layout: finding, reading and decoding them, and their labels."""
