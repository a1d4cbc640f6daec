"""The URL shortener: the system under test."""
