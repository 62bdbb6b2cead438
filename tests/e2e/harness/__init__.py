"""What the tests of this folder stand on: the program in a root of its own, and real servers around it."""
