"""The published folder, its index and its website."""
