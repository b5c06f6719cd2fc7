"""A reference of spec files as HTML: what they declare, what it is made of, where it is used. Pure; files are written elsewhere."""
