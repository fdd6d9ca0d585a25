"""What the commands of `python -m core` do: options in, a value for JSON out; progress and warnings go to `say`.

Each imports what it needs itself, so that a quick command stays quick.
"""
