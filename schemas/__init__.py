"""What hub and agent both know: ids, errors, settings, frames and the command grammar. Pure: no I/O, no await."""
