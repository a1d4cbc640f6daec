"""Faults on links: what passes them is cut, late, slow or incomplete."""
