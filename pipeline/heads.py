"""The two modules that are made of a checkpoint."""

OUTPUTS = {"classification": "logits", "fe": "features"}  # the name of each head's output
