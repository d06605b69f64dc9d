"""Guest steps as programs of system calls: how they are said, encoded, printed and played.

`builder` says, `image` is the encoding, `player` plays; the record format is described in
`docs/reference/programs.md`. What the keeper needs of it (`image`, `player`) imports next to nothing.
"""
