"""The command line: one file per command. Importing any of them brings no torch along."""
