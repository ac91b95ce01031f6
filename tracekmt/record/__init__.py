"""Recording of live programs: attaches to a process, drains its events and writes them to a trace."""
