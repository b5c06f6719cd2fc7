"""Ready tasks, to be run as they are or with `--set`."""
