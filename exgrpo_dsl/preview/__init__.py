"""`exgrpo preview`: what teachers, students and judges would read, for one row of the data."""
