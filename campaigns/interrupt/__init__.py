"""Interrupts runs on the real stack, in every way, and looks for what is left.

stack.py         the stack, seen without the harness: engine and Toxiproxy are asked directly
run.py           one `harness run` as a process, and other commands
experiments.py   what is run: a few faults that overlap, one of each kind, everything broken
endings.py       ways in which a run ends before its time: signals, kills, `heal --stop`, sleep
surroundings.py  what fails around a run: Toxiproxy, the engine, the disk
cases.py         all of them by name, in their order
waiting.py       for nothing to be left
__main__.py      tries them one after another
"""
