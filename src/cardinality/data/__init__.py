"""Data sets, and their way to the device."""
