"""One handler per ONNX operator, a file per family. A new file here is found by itself."""
