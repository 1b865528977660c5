"""The rules: one table of the file, one module of the same name. Pure where they can be; what they read is in the store.

`connector.evaluate` calls them in order: scope and touches, qualification, score, transitions, clocks, rejections.
"""
