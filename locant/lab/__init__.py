"""The lab: tasks, texts, budgets, runs and statistics that compare positional encodings at a matched budget."""
