"""Examples that can be run as they lie here; README.md says how."""
