"""vLLM's options by release: catalogue, values, rules, and what became of an option between releases."""
