"""What is proved of a checked program before anything runs."""
