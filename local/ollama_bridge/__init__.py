"""A development bridge that speaks Ollama's HTTP API over llama.cpp (not Ollama)."""
