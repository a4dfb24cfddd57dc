"""The commands, one file each: `async def run(call: Call) -> int` writes the answer and returns the exit code."""
