"""The architectures, the float64 reference and the preprocessing of images.

An architecture is a folder here, such as `vit`, with three modules; no other module names it:

    architecture  ARCHITECTURE: its variants and their sources, what a section `model` of it may say, words for cards.
                  Imports neither JAX nor NumPy, since every make reads it.
    network       open_network(): its forward pass in JAX (pipeline.model.network.Network)
    layouts       LAYOUTS: the names of its arrays in other programs' files (pipeline.model.layouts)
"""
