"""`harness init`: from a Compose project to the files that a first run needs; nothing is started.

    docker compose config -> found.py -> entry.py, roles.py -> proposal.py -> files.py -> writing.py
                             what is there  what it plays      what to try     texts      the disk

Compose's own reading of the files is all that is asked; no engine, no network. What cannot be known
from it is asked, or refused with the flag that answers it; it is never guessed.
"""
