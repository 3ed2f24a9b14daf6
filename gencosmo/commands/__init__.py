"""The commands of `gencosmo`, one file each; `gencosmo.cli` declares their options and imports them when
called.
"""
