"""What a run leaves behind, from its files up to one run that can be measured.

    folder.py    where everything is in a run folder, and reading and writing it
    events.py    what happened: one event a line          event_log.py appends to it
    tables.py    requests, writes and clicks: their columns, as Parquet
    damage.py    what cannot be understood is one clear error
    run.py       one run as it was recorded               faults.py its faults
    causes.py    what the faults explain                  deaths.py which containers ended, and why

Whatever runs, writes the upper half; it never reads the lower one. Nothing here loads pandas
(see docs/adr/0008).
"""
