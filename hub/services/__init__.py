"""The rules: who may do what, in what state, in what order. One file per noun; nothing here knows HTTP or SQL."""
