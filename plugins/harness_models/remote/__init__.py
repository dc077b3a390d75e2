"""Models behind any OpenAI-compatible server: vLLM, Ollama, llama.cpp, and the vendors' own endpoints."""
