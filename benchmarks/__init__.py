"""Speed and agreement against other ways to do the same; not installed with the package."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
