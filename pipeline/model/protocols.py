"""The protocols that fit an image to a model, by name; pipeline.model.preprocessing implements them.

Without NumPy, so that what only names one starts at once.
"""

PROTOCOLS = ("resize", "crop")
