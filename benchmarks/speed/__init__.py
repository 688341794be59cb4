"""How fast latte-eval is, against what people use: `python -m latte_eval.benchmarks.speed --list`. Not installed."""
