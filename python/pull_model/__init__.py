"""Fetches models from a hub."""
