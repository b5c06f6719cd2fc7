"""The typed subset of Jinja: its own tokens, tree, types and flow."""
