"""Damaged and false zip archives of videos and frames: the same clips every time, or a reason.

python tests/siege/zips.py --trials 500 --seed 0
"""

from __future__ import annotations

import random
import struct
import sys
import zipfile
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from siege.damaged_bytes import bytes_damaged
from siege.siege import Siege, Wrong, main
from siege.video import READ, REJECTED, frame_folder, read_twice
from siege.video import prepare as prepare_videos

ENCODED = ("H.264", "MPEG-4 in AVI", "VP9", "GIF")

# Names that lead out of a folder, or that file systems and terminals do not take.
ODD_NAMES = ("../../out.mp4", "/tmp/out.mp4", "a\\..\\b.mp4", "x" * 300 + ".mp4", "a\nb.mp4", "\x1b[31m.mp4",
             "a.mp4/b.mp4", "NUL.mp4", ".mp4", "a/./b.mp4", "é.mp4")  # fmt: skip


def prepare(folder: Path) -> dict[str, bytes]:
    """Members of an archive: some videos and a folder of frames."""
    members = {f"videos/{path.name}": path.read_bytes() for path in prepare_videos(folder, ENCODED)}
    frames = frame_folder(folder / "frames")
    return members | {f"frames/{path.name}": path.read_bytes() for path in sorted(frames.iterdir())}


def trial(material: dict[str, bytes], chance: random.Random, folder: Path) -> str:
    """One archive that is damaged as a file, in its list, in a member, or in its names."""
    path, members, way = (
        folder / "clips.zip",
        dict(material),
        chance.choice(("bytes", "list", "member", "names", "bomb")),
    )
    if way == "member":
        name = chance.choice(list(members))
        members[name] = bytes_damaged(members[name], chance)
    if way == "names":
        name = chance.choice(list(members))
        members[chance.choice(ODD_NAMES)] = members.pop(name)
    if way == "bomb":
        members[f"videos/bomb{chance.choice(('.mp4', '.avi', '.gif', '.npy'))}"] = bytes(10**7)
    method = chance.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if way == "bomb" else method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    if way == "bytes":
        path.write_bytes(bytes_damaged(path.read_bytes(), chance))
    if way == "list":
        path.write_bytes(false_list(path.read_bytes(), chance))
    found = read_twice(path)
    if [each.name for each in folder.iterdir()] != ["clips.zip"]:
        raise Wrong("a file was written beside the archive")
    return found


def false_list(data: bytes, chance: random.Random) -> bytes:
    """The list at the end of an archive with false sizes, places, methods, flags and checksums."""
    changed = bytearray(data)
    entries = [at for at in range(len(data) - 4) if data[at : at + 4] == b"PK\1\2"]
    for at in chance.sample(entries, chance.choice((1, 1, 2, len(entries)))):
        field, size = chance.choice(((8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (28, 2), (30, 2), (32, 2), (42, 4)))
        value = chance.choice((0, 1, 8, 12, 0xFFFF, 2**32 - 1, 2**31, len(data), chance.randrange(2**16)))
        changed[at + field : at + field + size] = struct.pack("<Q", value)[:size]
    return bytes(changed)


SIEGE = Siege("zips", trial, (READ, REJECTED), prepare, trials=500, seconds=60, memory=4 * 2**30)

if __name__ == "__main__":
    main(SIEGE)
