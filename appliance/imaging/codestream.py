# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What a JPEG, JPEG-LS or JPEG 2000 code stream says of itself, read before it is decoded.

Decoders believe the stream: a few bytes that claim 60,000 x 60,000 pixels keep one busy for minutes and take gigabytes,
and a truncated stream is silently filled with grey. The markers show both here.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

# Start-of-frame markers of JPEG (all but DHT, JPG and DAC, which share their range) and of JPEG-LS.
_FRAME_STARTS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
_STANDALONE = frozenset(range(0xD0, 0xD9)) | {0x01}
_SCAN_STARTS = 0xDA
_END = b"\xff\xd9"
_JPEG_2000_START = b"\xff\x4f\xff\x51"
_JPEG_2000_WRAPPING = 256
"""How many bytes are searched for the code stream: some writers leave it in its JP2 file."""


@dataclass(frozen=True)
class CodestreamSize:
    """Rows, columns and samples per pixel of a code stream."""

    rows: int
    columns: int
    samples: int


def jpeg_size(frame: bytes) -> CodestreamSize | None:
    """Return the size that a JPEG or JPEG-LS stream states, None when it states none before its first scan."""
    at = 2
    while at + 10 <= len(frame) and frame[at] == 0xFF:
        marker = frame[at + 1]
        if marker in _FRAME_STARTS:
            rows, columns, samples = struct.unpack_from(">HHB", frame, at + 5)
            return CodestreamSize(rows, columns, samples)
        if marker == _SCAN_STARTS:
            return None
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker in _STANDALONE:
            at += 2
        else:
            at += 2 + int(struct.unpack_from(">H", frame, at + 2)[0])
    return None


def jpeg_2000_size(frame: bytes) -> CodestreamSize | None:
    """Return the size that a JPEG 2000 stream states, None when it does not begin as one."""
    at = frame.find(_JPEG_2000_START, 0, _JPEG_2000_WRAPPING)
    if at < 0 or at + 42 > len(frame):
        return None
    right, bottom, left, top = struct.unpack_from(">4I", frame, at + 8)
    (samples,) = struct.unpack_from(">H", frame, at + 40)
    return CodestreamSize(bottom - top, right - left, samples)


def jpeg_is_whole(frame: bytes) -> bool:
    """Return whether a JPEG or JPEG-LS stream reaches its end marker; padding may follow it."""
    return frame.rstrip(b"\0\xff").endswith(_END)
