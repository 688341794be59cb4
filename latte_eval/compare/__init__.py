"""Results beside each other: whether they compare, how they line up, why they differ, and the tables of the paper."""
