"""What files for other runtimes have in common, in whatever format they are.

precision  float32, float16, int8
facts      what the files of a module say of it
quality    how far a file may differ from its module
running    a file in its runtime, in a process of its own
"""
