"""Files that know what made them: written whole or not at all, checked when read, and what killed jobs leave."""
