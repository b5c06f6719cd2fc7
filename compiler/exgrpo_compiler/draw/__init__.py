"""Pictures of a spec: a task's pipeline and its rewards as boxes and arrows, in SVG, Mermaid and JSON. Pure."""
