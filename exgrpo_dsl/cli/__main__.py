"""`python -m exgrpo_dsl.cli`, the same as `exgrpo`."""

from exgrpo_dsl.cli import main

main()
