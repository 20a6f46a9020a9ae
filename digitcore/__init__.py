"""Reads handwritten digits from a sketch, a photo or a program, and says how sure it is."""
