"""Small real files to upload."""

import struct
import zlib


def png(width, height):
    """A grey picture of that many pixels."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = (b"\0" + b"\x80" * width) * height
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def is_mp4(data):
    """Whether the bytes begin as an MP4 does: a box called `ftyp`."""
    return data[4:8] == b"ftyp"


def is_picture(data):
    """Whether the bytes begin as JPEG, PNG or WebP do."""
    return data[:3] == b"\xff\xd8\xff" or data[:4] == b"\x89PNG" or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")
