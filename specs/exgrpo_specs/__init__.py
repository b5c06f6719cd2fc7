"""The spec library that is installed with exgrpo: `std`, the quickstart, and ready tasks."""
