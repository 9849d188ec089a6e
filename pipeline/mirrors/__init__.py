"""Mirrors of a hub on hosts that have their own form of it: Hugging Face and Kaggle."""
