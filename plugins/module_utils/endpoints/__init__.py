"""Proof over HTTP that a `vllm serve` endpoint does what its kind promises."""
