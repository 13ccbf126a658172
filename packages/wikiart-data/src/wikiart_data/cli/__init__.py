"""Command lines: the parsing shared by all packages, and the `wikiart-data` program."""
