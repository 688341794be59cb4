"""Static pages about runs: numbers with their evidence, readable offline, on a phone and in print."""
