"""The rules of the simulator as a C program, and what a machine printed about them."""
