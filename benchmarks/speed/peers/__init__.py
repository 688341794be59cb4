"""Programs that ask other projects for a number. Each imports that project alone, and prints one line of JSON."""
