"""`--limit=N`: the first N items of what kubectl prints as tables or names, heads of tables kept. Pure."""


class RowLimit:
    """Passes bytes through until `limit` rows went by.

    With heads, a table begins with one and ends with an empty line (kubectl prints several types that way); a head
    goes out with the first row of its table, so a table without rows leaves none behind.
    """

    def __init__(self, limit: int, *, has_heads: bool) -> None:
        self._left = limit
        self._has_heads = has_heads
        self._is_head_next = has_heads
        self._held = bytearray()  # an empty line and a head that wait for their first row
        self._line: str | None = None  # what the line is whose end has not come: "head", "row", "over"

    def feed(self, data: bytes) -> bytes:
        """Return what passes of the next bytes."""
        passed = bytearray()
        position = 0
        while position < len(data):
            newline = data.find(b"\n", position)
            end = len(data) if newline < 0 else newline + 1
            piece = data[position:end]
            if self._line is None:
                self._begin(piece, passed)
            if self._line == "row":
                passed += piece
            elif self._line == "head":
                self._held += piece
            if newline >= 0:
                self._line = None
            position = end
        return bytes(passed)

    def _begin(self, piece: bytes, passed: bytearray) -> None:
        if self._has_heads and piece == b"\n":
            self._is_head_next = True
            self._held = bytearray()
            self._line = "head"
        elif self._is_head_next:
            self._is_head_next = False
            self._line = "head"
        elif self._left:
            self._left -= 1
            passed += self._held
            self._held = bytearray()
            self._line = "row"
        else:
            self._line = "over"
