"""Sieges: thousands of seeded trials against what users, files and machines can do; `siege.py` says how to run one."""
