"""LiteRT files: written from a module's plain twin, described inside, measured, and run.

forms       the names of files
converting  TFLiteConverter in a process of its own
tables      FlatBuffers tables by field id
metadata    what a file says of itself: normalization, labels, licence, source
packing     metadata and associated files in the model's bytes
running     a file in LiteRT's own interpreter
files       all of it: a plain twin to model*.tflite
"""
