"""ONNX and QONNX files as modules that torch executes, operator by operator.

`load.py` is the way in; `file.py` reads and checks a file, `external.py` its tensors, `program.py` runs the graph.
The package onnx belongs to the extra `onnx` and is imported when the first file is read.
"""
