"""Diagnostics for a person, and for tools."""
