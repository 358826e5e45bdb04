"""The parts of local/stack.py, one verb to a file."""
