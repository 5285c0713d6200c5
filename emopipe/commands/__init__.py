"""The command `emopipe`: one file a subcommand."""
