"""Damage to the bytes of any file, as disks, networks and people make it."""

from __future__ import annotations

import random
import struct


def bytes_damaged(data: bytes, chance: random.Random) -> bytes:
    """Bytes flipped, cut, put in, taken out, swapped or copied over others."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 8))):
        at, other = chance.randrange(len(changed)), chance.randrange(len(changed))
        size = min(chance.choice((1, 2, 4, 8, 64, 1000)), len(changed) - max(at, other))
        way = chance.choice(("flip", "byte", "number", "cut", "insert", "remove", "copy", "swap"))
        if way == "flip":
            changed[at] ^= 1 << chance.randrange(8)
        elif way == "byte":
            changed[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
        elif way == "number":
            number = chance.choice((2**31 - 1, 2**32 - 1, 2**63 - 1, 0, 2**40, len(changed)))
            changed[at : at + 8] = struct.pack("<Q", number)[: len(changed) - at]
        elif way == "cut":
            del changed[max(at, 1) :]
        elif way == "insert":
            changed[at:at] = chance.randbytes(size)
        elif way == "remove" and len(changed) > size:
            del changed[at : at + size]
        else:
            one, two = bytes(changed[at : at + size]), bytes(changed[other : other + size])
            changed[other : other + size] = one
            if way == "swap":
                changed[at : at + size] = two
    return bytes(changed)
