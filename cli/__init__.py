"""The command line: verbs, help, overrides; words only."""
