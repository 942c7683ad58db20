"""The families that the two laws are compared with (paper, section 4)."""
