"""The four datasets of the published tables, one row each."""
