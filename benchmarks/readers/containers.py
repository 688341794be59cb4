"""Which container format a file has, and how many bytes it should have by its own account: a cut file has fewer."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

ISO_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"styp", b"sidx", b"moof", b"uuid")
# Brands of still and moving AVIF and HEIF images, which share the boxes of mp4.
IMAGE_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"hevc", b"mif1", b"msf1")
EBML, SEGMENT = 0x1A45DFA3, 0x18538067
PACK, SEQUENCE = b"\0\0\1\xba", b"\0\0\1\xb3"
SYNC, TS_PACKET, M2TS_PACKET = 0x47, 188, 192
ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
MXF = bytes.fromhex("060e2b34020501010d010201")


def container_kind(path: Path) -> str | None:
    """The format of a file by its first bytes, under FFmpeg's name for it, or None where it is not a video.

    `mov` includes mp4 and 3gp, `matroska` webm, `asf` wmv; `mpeg` is a program stream, `mpegvideo` a stream without a
    container. Image formats that can move are none: see animations.py.
    """
    with path.open("rb") as file:
        head = file.read(2 * M2TS_PACKET)
    starts = {"avi": head[:4] == b"RIFF" and head[8:12] == b"AVI ", "mov": head[4:8] in ISO_BOXES,
              "matroska": head[:4] == EBML.to_bytes(4, "big"), "gif": head[:4] == b"GIF8",
              "mpeg": head[:4] == PACK, "mpegvideo": head[:4] == SEQUENCE,
              "mpegts": is_transport_stream(head), "flv": head[:4] == b"FLV\1", "asf": head[:16] == ASF,
              "ogg": head[:4] == b"OggS", "yuv4mpegpipe": head[:9] == b"YUV4MPEG2", "ivf": head[:4] == b"DKIF",
              "mxf": head[: len(MXF)] == MXF}  # fmt: skip
    if head[4:8] == b"ftyp" and head[8:12] in IMAGE_BRANDS:
        return None
    return next((kind for kind, found in starts.items() if found), None)


def is_transport_stream(head: bytes) -> bool:
    """Whether packets of MPEG-TS begin here, or those of cameras, with four bytes before each."""
    plain = len(head) > TS_PACKET and head[0] == head[TS_PACKET] == SYNC
    return plain or (len(head) > M2TS_PACKET + 4 and head[4] == head[M2TS_PACKET + 4] == SYNC)


def missing_bytes(path: Path) -> int:
    """How many bytes are missing, at least, from the length that the container states; 0 where it states none."""
    ends = {"mov": iso_end, "avi": riff_end, "matroska": matroska_end, "gif": gif_end}
    end = ends.get(container_kind(path) or "")
    if end is None:
        return 0
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        return max(0, end(file, size) - size)


def iso_end(file: BinaryIO, size: int) -> int:
    """The end of the last top-level box (ISO/IEC 14496-12, 4.2)."""
    position = 0
    while position + 8 <= size:
        file.seek(position)
        header = file.read(16)
        length = int.from_bytes(header[:4], "big")
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        if length < 8:  # 0: up to the end of the file, whatever that is
            break
        position += length
    return position


def riff_end(file: BinaryIO, size: int) -> int:
    """The end of the last RIFF chunk; large AVI files have several."""
    position = 0
    while position + 12 <= size:
        file.seek(position)
        header = file.read(8)
        if header[:4] != b"RIFF":
            break
        position += 8 + int.from_bytes(header[4:8], "little")
        position += position % 2
    return position if position - size != 1 else size  # the padding byte may be absent


def matroska_end(file: BinaryIO, size: int) -> int:
    """The end of the segment, where its length was written when the file was finished (RFC 8794)."""
    position = 0
    while position + 12 <= size:
        file.seek(position)
        header = file.read(12)
        length_at = vint_length(header[0])
        length_size = vint_length(header[length_at])
        if length_at > 4 or length_size > 8:  # no element of Matroska
            break
        length = int.from_bytes(header[length_at : length_at + length_size], "big") - (1 << 7 * length_size)
        if length == (1 << 7 * length_size) - 1:  # unknown: written as a live stream
            break
        position += length_at + length_size + length
        if int.from_bytes(header[:4], "big") == SEGMENT:
            break
    return position


def vint_length(first: int) -> int:
    """Bytes of a variable-length integer that begins with this byte; 9 for a byte that cannot begin one."""
    return 9 - first.bit_length()


def gif_end(file: BinaryIO, size: int) -> int:
    """One byte past the end unless block follows block up to the trailer (GIF89a, appendix A)."""
    file.seek(0)
    data = file.read()
    position = 13 + gif_colours(data, 10)
    while (block := data[position : position + 1]) in (b"!", b","):  # an extension, an image
        head = 2 if block == b"!" else 11 + gif_colours(data, position + 9)
        position = gif_pieces_end(data, position + head)
    return size if data[position : position + 1] == b";" else size + 1


def gif_colours(data: bytes, position: int) -> int:
    """Bytes of the colour table that the flags at this position announce."""
    flags = int.from_bytes(data[position : position + 1])
    return 3 * (2 << (flags & 7)) if flags & 0x80 else 0


def gif_pieces_end(data: bytes, position: int) -> int:
    """The end of a chain of pieces, each with its length before it, closed by one without length."""
    while length := int.from_bytes(data[position : position + 1]):
        position += 1 + length
    return position + 1
