"""Outputs of reference implementations under seeded weights, small enough to travel with the package, and the checks
that compare this machine's answers with them: `latte-eval doctor --verify`.

Where the outputs come from is in tests/golden/README.md of the repository, which holds the whole files.
"""
