"""Commands for developers that measure; nothing here is installed. Run from the repository's root."""
