"""How many frames the packets of a video stream show, without decoding them.

As a rule a packet shows one frame. These show none, and were they counted, a window could end behind the last frame:

- packets that an edit list hides (ISO/IEC 14496-12, 8.6.6)
- references of VP8 that are never shown (RFC 6386, 9.1)
- "not coded" pictures of MPEG-4 part 2 (ISO/IEC 14496-2, 6.2.5), unless one stands in the place of a picture that was
  packed into an earlier packet, as DivX and Xvid do in AVI
- pictures at the start of a file that was cut: those before the first keyframe in the file, and of those before it in
  time the ones that need frames from before the cut, which only the decoder can tell

And where a file was cut at its end, the frames behind a gap are left out: those that belong between came later in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

# Start codes of a picture and of a video object layer in MPEG-4 part 2.
VOP, VOL = b"\0\0\1\xb6", re.compile(rb"\x00\x00\x01[\x20-\x2f]")

# Containers that state a time for every frame, and no length: nothing else in them tells that the end is missing.
WITHOUT_LENGTH = ("mpegts", "flv")

# No codec shows a frame after more of those that are stored before it (H.264, A.3.1).
MOST_WAITING = 16

# A gap is longer than the longest time between frames before it, by this factor.
GAP = 1.5

# No "not coded" picture is longer, in bytes.
MOST_NOT_CODED = 19


@dataclass
class PacketCount:
    """What was counted in the packets of a video stream.

    Attributes:
        stored: packets that are whole.
        shown: frames that they show, if each picture at the start can be decoded.
        start: time of the first keyframe; None where no keyframe has a time.
        early: shown packets that lie behind that keyframe in the file and before it in time.
        end: where the last frame ends, in seconds.
    """

    stored: int = 0
    shown: int = 0
    start: int | None = None
    early: int = 0
    end: float = 0.0


def count_packets(container: InputContainer, stream: VideoStream) -> PacketCount:
    """Count the packets of an opened video."""
    count, pictures, times = PacketCount(), Pictures(stream), list[int]()
    keyframes = last = 0
    for packet in container.demux(stream):
        if not packet.size or packet.is_corrupt:
            continue
        count.stored += 1
        keyframes += packet.is_keyframe
        last = max(last, (packet.pts or 0) + (packet.duration or 0))
        if keyframes == 1 and packet.is_keyframe:
            count.start, count.shown = packet.pts, 0
            times.clear()
        if packet.is_discard or not pictures.show(packet):
            continue
        count.shown += 1
        count.early += keyframes == 1 and is_earlier(packet.pts, count.start)
        times += [packet.pts] if packet.pts is not None else []
    count.end = float(last * (stream.time_base or 0))
    if container.format.name in WITHOUT_LENGTH and len(times) == count.shown:
        count.shown -= frames_behind_gap(times)
    return count


def from_keyframe(packets: Iterator[Packet]) -> Iterator[Packet]:
    """Packets from the first keyframe on, or all where there is none: some decoders show grey for those before it."""
    before: list[Packet] = []
    for packet in packets:
        before.append(packet)
        if packet.is_keyframe or not packet.size:
            yield from [packet] if packet.is_keyframe else before
            break
    yield from packets


def is_earlier(time: int | None, start: int | None) -> bool:
    return time is not None and start is not None and time < start


def frames_behind_gap(times: list[int]) -> int:
    """How many frames at the end, of these times in the order of the file, lie behind the longest gap between frames.

    They are no more than can wait for frames that come later in the file and are shown before them.
    """
    waiting = max((sum(earlier > time for earlier in times[max(0, i - MOST_WAITING) : i])
                   for i, time in enumerate(times)), default=0)  # fmt: skip
    gaps = [later - earlier for earlier, later in pairwise(sorted(times))]
    behind = (n for n in range(min(waiting, len(gaps) - 1), 0, -1) if gaps[-n] > GAP * max(gaps[:-n]))
    return next(behind, 0)


class Pictures:
    """Whether packets show a frame, by what is in them; asked once for every packet, in order.

    Attributes:
        packed: pictures that earlier packets of MPEG-4 part 2 hold beside their own, and that were not shown yet.
        clock_bits: width of the time of a picture of MPEG-4 part 2; 0 where it is not known.
    """

    def __init__(self, stream: VideoStream):
        self.codec = stream.codec_context.name
        self.header = bytes(stream.codec_context.extradata or b"")
        self.packed = self.clock_bits = 0

    def show(self, packet: Packet) -> bool:
        """Whether a packet makes the decoder show a frame."""
        if self.codec == "vp8":
            return bool(memoryview(packet)[0] & 0x10)
        return self.show_mpeg4(bytes(packet)) if self.codec == "mpeg4" else True

    def show_mpeg4(self, data: bytes) -> bool:
        """As `show`, for MPEG-4 part 2."""
        self.clock_bits = self.clock_bits or clock_bits(self.header) or clock_bits(data)
        self.packed += max(0, data.count(VOP) - 1)
        if not (self.clock_bits and is_not_coded(data, self.clock_bits)):
            return True
        self.packed -= 1
        if self.packed >= 0:
            return True
        self.packed = 0
        return False


def clock_bits(header: bytes) -> int:
    """Width of the time of each picture, from a video object layer (ISO/IEC 14496-2, 6.2.3); 0 where there is none."""
    found = VOL.search(header)
    if not found:
        return 0
    bits = as_bits(header[found.end() : found.end() + 36].ljust(36, b"\0"))
    position = 17 if bits[9] == "1" else 10  # version and priority of the layer
    position += 20 if bits[position : position + 4] == "1111" else 4  # shape of the pixels
    if bits[position] == "1":  # parameters for control
        position += 79 if bits[position + 4] == "1" else 0  # of the buffer
        position += 4
    resolution = int(bits[position + 4 : position + 20], 2)  # behind one bit, the shape of the layer and a marker
    return max(1, (resolution - 1).bit_length()) if resolution else 0


def is_not_coded(data: bytes, clock_bits: int) -> bool:
    """Whether a packet holds nothing but a picture that says of itself that it is not coded."""
    at = data.find(VOP)
    if at < 0 or len(data) > MOST_NOT_CODED:
        return False
    bits = as_bits(data[at + 4 :])
    seconds_end = bits.find("0", 2)  # behind the type: a one for each second, and a zero
    flag = seconds_end + 1 + 1 + clock_bits + 1  # the time lies between two markers
    return seconds_end > 0 and bits[flag : flag + 1] == "0"


def as_bits(data: bytes) -> str:
    return f"{int.from_bytes(data, 'big'):0{8 * len(data)}b}" if data else ""
