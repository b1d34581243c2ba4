"""Speed and agreement against other ways to do the same; not installed with the package."""
