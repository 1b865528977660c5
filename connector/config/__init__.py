"""The configuration: TOML → typed, frozen values; every problem at once, with its path in the file.

`tables` holds the values, one class a table; `durations` the texts "4 business hours"; `load` reads, checks across tables and collects
the problems. `load.load(path)` is the door.
"""
