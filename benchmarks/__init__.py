"""Speeds, measured by commands and quoted in docs/; nothing here is a test."""
