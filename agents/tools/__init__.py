"""The tools that agents may name, one module each."""

TOOL_NAMES = frozenset(
    {
        "ask_person",
        "calculator",
        "date_time",
        "read_file",
        "run_workflow",
        "search_messages",
        "spawn_specialist",
    }
)
