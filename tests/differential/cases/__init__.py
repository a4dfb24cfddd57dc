"""What must be answered alike, a file per command."""
