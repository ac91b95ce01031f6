# What takes longer than CI has time for.

.PHONY: soak
soak:
	TRACEKMT_SOAK=1 python -m pytest tests/trace/test_damage.py tests/record/test_session.py
