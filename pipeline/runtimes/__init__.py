"""The formats of a module: which there are, how all are made, and the proof of each in its own runtime.

table            the formats: file, runtime, precision
modules          a module to make formats of: its self-test, what its files say
tensorflow_job   writes the files and runs the plain twin, in a process of its own
tensorflow_runs  what that runs in TensorFlow
judging          what each run is compared with: the rungs of a ladder
making           all of it: modules to folders of formats
writing          for any module: a folder of formats and its formats.json
member           for a member: both modules, without what an earlier run made
published_files  is a published file what its hub says?
"""
