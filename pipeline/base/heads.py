"""The two modules that are made of a checkpoint."""

OUTPUTS = {"classification": "logits", "fe": "features"}  # the name of each head's output


HEADS = {"classification": "image-classification", "fe": "image-feature-vector"}  # by head, TF-Hub's task tag
