"""The `vllm` model: vLLM's offline engine in this process."""
