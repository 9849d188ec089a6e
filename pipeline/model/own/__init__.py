"""A network of one's own: a class of a Python file beside the member's YAML file.

docs/own_networks.md describes the class. Only convert and validate run the file; everything else reads what they found.
"""
