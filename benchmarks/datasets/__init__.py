"""The four datasets of the published tables, a row each."""
