"""The formats of a module: which there are, how all are written, and the proof of each in its own runtime.

table      the formats: file, runtime, precision
modules    a module to write formats of: its self-test, what its files say
twin_runs  a plain twin beside its module in TensorFlow, in a process of its own
proving    what each run is compared with, and what is refused
writing    all of it: a module to a folder of formats
"""
