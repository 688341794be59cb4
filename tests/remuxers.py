"""Files made of the packets of another one: cut, packed, hidden, damaged or joined, as real files come."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
from av.bitstream import BitStreamFilterContext
from av.container import InputContainer
from footage import lifelike_frames

VOP = b"\0\0\1\xb6"  # a picture of MPEG-4 part 2
Change = Callable[[int, bytes], bytes]


def video_packets(container: InputContainer) -> Iterator[av.Packet]:
    """The packets of the first video stream, in the order of the file."""
    return (packet for packet in container.demux(container.streams.video[0]) if packet.size)


def keyframes(path: Path) -> list[int]:
    """Positions of the keyframes among the packets."""
    with av.open(str(path)) as container:
        return [index for index, packet in enumerate(video_packets(container)) if packet.is_keyframe]


def copy_packets(
    source: Path, target: Path, *, start: int = 0, change: Change = lambda index, data: data, **options: str
) -> Path:
    """Copy a video without decoding it, from its packet `start` on, each packet changed by `change`."""
    with av.open(str(source)) as read, av.open(str(target), "w", options=options) as written:
        stream = written.add_stream_from_template(read.streams.video[0])
        packets = list(video_packets(read))[start:]
        for index, packet in enumerate(packets):
            copied = av.Packet(change(index, bytes(packet)))
            if packet.pts is not None:
                copied.pts = packet.pts - (packets[0].dts or 0)
            copied.dts, copied.duration = packet.dts - (packets[0].dts or 0), packet.duration
            copied.time_base, copied.is_keyframe, copied.stream = packet.time_base, packet.is_keyframe, stream
            written.mux(copied)
    return target


def filter_packets(source: Path, target: Path, name: str) -> Path:
    """Copy a video through a filter of FFmpeg that works on packets."""
    with av.open(str(source)) as read, av.open(str(target), "w") as written:
        stream = written.add_stream_from_template(read.streams.video[0])
        bitstream = BitStreamFilterContext(name, read.streams.video[0], stream)
        for packet in video_packets(read):
            for changed in bitstream.filter(packet):
                changed.stream = stream
                written.mux(changed)
    return target


def packet_bytes(path: Path, index: int) -> slice:
    """Where a packet lies in the file."""
    with av.open(str(path)) as container:
        packet = list(video_packets(container))[index]
        assert packet.pos is not None
        return slice(packet.pos, packet.pos + packet.size)


def damage_packet(path: Path, index: int) -> Path:
    """Overwrite the second half of a packet with zeros; nothing else in the file shows it."""
    data, place = bytearray(path.read_bytes()), packet_bytes(path, index)
    middle = (place.start + place.stop) // 2
    data[middle : place.stop] = bytes(place.stop - middle)
    path.write_bytes(data)
    return path


def hide_references(path: Path, target: Path, hidden: set[int]) -> Path:
    """Make VP8 frames references that are never shown, by a bit of their headers."""

    def hide(index: int, data: bytes) -> bytes:
        return bytes([data[0] & ~0x10]) + data[1:] if index in hidden else data

    return copy_packets(path, target, change=hide)


def uncoded_picture(data: bytes, clock_bits: int = 5) -> bytes:
    """The picture that a packet of MPEG-4 part 2 holds, with its time, as one that is not coded."""
    bits = "".join(f"{byte:08b}" for byte in data[data.find(VOP) + 4 :][:8])
    time = re.match(f"01(1*)01[01]{{{clock_bits}}}1", "01" + bits[2:])
    assert time
    bits = time[0] + "0"
    bits += "0" + "1" * (-len(bits) - 1 & 7)  # stuffing up to a whole byte
    return VOP + int(bits, 2).to_bytes(len(bits) // 8, "big")


def drop_pictures(path: Path, target: Path, dropped: set[int]) -> Path:
    """MPEG-4 part 2 whose encoder left these pictures out."""
    return copy_packets(path, target, change=lambda i, data: uncoded_picture(data) if i in dropped else data)


def pack_pictures(path: Path, target: Path) -> Path:
    """MPEG-4 part 2 with B-frames in AVI as DivX and Xvid write it, and with it UCF101.

    A B-frame lies in the packet of the frame before it in the file; in its own packet is a picture that is not coded.
    """
    with av.open(str(path)) as container:
        stored = [bytes(packet) for packet in video_packets(container)]
    packed, index = [], 0
    while index < len(stored):
        followed = index + 1 < len(stored) and picture_type(stored[index]) != "B" == picture_type(stored[index + 1])
        packed.append(stored[index] + stored[index + 1] if followed else stored[index])
        if followed:
            packed.append(uncoded_picture(stored[index]))
        index += 2 if followed else 1
    at = packed[0].find(VOP)
    packed[0] = packed[0][:at] + b"\0\0\1\xb2DivX503b1393p" + packed[0][at:]
    return copy_packets(path, target, change=lambda i, data: packed[i])


def picture_type(data: bytes) -> str:
    return "IPBS"[data[data.find(VOP) + 4] >> 6]


def write_streams(path: Path, sizes: list[tuple[int, int]], cover: bool = False, sound: bool = False) -> Path:
    """A file of several videos, beside which a cover picture and sound may lie. Each video has a seed of its own."""
    with av.open(str(path), "w") as container:
        videos = [container.add_stream("libx264", rate=25) for _ in sizes]
        for stream, (width, height) in zip(videos, sizes, strict=True):
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        picture = container.add_stream("mjpeg", rate=25) if cover else None
        voice = container.add_stream("aac", rate=8000) if sound else None
        if picture:
            picture.width, picture.height, picture.pix_fmt = 320, 240, "yuvj420p"
            picture.disposition = av.stream.Disposition.attached_pic.value
            container.mux(picture.encode(av.VideoFrame(320, 240, "yuvj420p")))
            container.mux(picture.encode(None))
        for seed, (stream, (width, height)) in enumerate(zip(videos, sizes, strict=True)):
            for frame in lifelike_frames(height=height, width=width, seed=seed):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode(None))
        if voice:
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            silence.rate = 8000
            for _ in range(20):
                container.mux(voice.encode(silence))
            container.mux(voice.encode(None))
    return path
