"""The commands of `relay`: one file each, named like it."""
