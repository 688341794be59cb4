"""`python -m latte_eval.benchmarks.speed`."""

from latte_eval.benchmarks.speed.command import main

if __name__ == "__main__":
    main(prog_name="python -m latte_eval.benchmarks.speed")
