"""Base models: those with short names, how they are loaded, and what differs between their families."""
