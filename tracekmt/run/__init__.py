"""Programs on the simulator: their calls are answered by a simulator instead of the kernel."""
