"""Download WikiArt, or import an export."""
