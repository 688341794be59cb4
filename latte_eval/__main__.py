"""`python -m latte_eval`, for launchers such as torchrun that start a module."""

from latte_eval.cli import main

main()
