"""What `exgrpo new` begins a spec with: one small, complete spec for each kind of answer, its three rows, and a teacher for them."""
