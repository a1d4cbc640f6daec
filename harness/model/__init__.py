"""The nouns of an experiment as typed, frozen data; no input or output happens here."""
