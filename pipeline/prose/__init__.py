"""Tries the texts of YAML files on pages before anything is made, and says which text breaks a rule."""
