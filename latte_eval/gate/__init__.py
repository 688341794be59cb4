"""The regression gate: rules, accepted results, verdicts, and the CI jobs that ask for them."""
