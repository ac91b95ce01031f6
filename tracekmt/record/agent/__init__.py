"""The recorder's part in the target process: the agent, the hooks and their plan."""
