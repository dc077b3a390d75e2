"""Adapters merged into whole models, and models for other programs: transformers, GGUF, ONNX."""
