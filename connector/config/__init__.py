"""The configuration: TOML → typed, frozen values; every problem at once, with its path in the file.

`load.load(path)` is the door, and the place to start reading: it parses the file, gathers what it declares (`reading`, `names`),
validates table by table (`tables`, whose keys are of the `kinds`), checks across tables (`cross`, `rules`), and puts what it found into
the file's own words (`problems`, `not_built`). `builtin` has the fields that every file has, `durations` the texts "4 business hours",
`secrets` what stands elsewhere, `version` the digest of it all.
"""
