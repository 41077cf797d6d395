"""ONNX and QONNX files of op graphs: one function per kind of node, each node as what it is."""
