"""The architectures, their variants, the float64 reference and the preprocessing of images."""
