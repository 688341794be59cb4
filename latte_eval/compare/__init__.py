"""Results beside each other: may they be, how do they line up, why do they differ, and the tables of the paper."""
