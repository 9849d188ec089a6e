"""The ONNX files of a published module, in the layout that transformers.js reads.

forms          the names of files
module_graph   a module's signature as a graph with weights
quantized      dynamic int8
configuration  config.json, preprocessor_config.json, metadata
running        a file in onnxruntime
files          all of it: a module to a folder of files
"""
