"""Lowering: checked declarations to what an artifact holds. Nothing here can fail: mistakes were found before."""
