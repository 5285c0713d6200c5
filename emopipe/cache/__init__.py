"""The cache's files. A file records what made it, is written completely or not at all, and is checked when read."""
