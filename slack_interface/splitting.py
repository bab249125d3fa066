"""Where a long text may be cut so that both halves read well."""


def split_point(text: str, room: int) -> int:
    """Index at which to cut `text` so that the first part has at most `room` characters.

    All of it when it fits; else after a paragraph, a line or a word in the second half of the
    room; else at the room's end. The parts together are the text, character by character.
    """
    if len(text) <= room:
        return len(text)
    for mark in ("\n\n", "\n", " "):
        found = text.rfind(mark, room // 2, room)
        if found != -1 and found + len(mark) <= room:
            return found + len(mark)
    return room
