"""Recording: the plan for the target, the memory shared with it, and the session that drains it into a trace."""
