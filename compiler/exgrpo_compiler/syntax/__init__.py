"""Text to tree: tokens, the LALR automaton, and going on after a mistake."""
