"""latte-eval: evaluation and benchmarking of Latte video diffusion checkpoints."""

__version__ = "0.1.0"
