"""MLP-Mixers: an architecture, see pipeline.model."""
