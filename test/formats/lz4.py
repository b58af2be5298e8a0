"""The lz4 block format
(https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md), decompressed in Python alone."""
from coding import need


def long_size(data, at, size):
    """A size of 15 or more goes on in the bytes that follow."""
    if size == 15:
        while True:
            need(at < len(data), "an lz4 block ends within a size")
            size += data[at]
            at += 1
            if data[at - 1] != 255:
                break
    return size, at


def decompress(data, raw_size):
    out = bytearray()
    at = 0
    while True:
        need(at < len(data), "an lz4 block ends where a token belongs")
        token = data[at]
        literals, at = long_size(data, at + 1, token >> 4)
        need(literals <= len(data) - at, "an lz4 block ends within literals")
        out += data[at:at + literals]
        at += literals
        if at == len(data):
            break
        need(at + 2 <= len(data), "an lz4 block ends within an offset")
        distance = int.from_bytes(data[at:at + 2], "little")
        match, at = long_size(data, at + 2, token & 15)
        match += 4
        need(0 < distance <= len(out), "an lz4 block refers to bytes before its beginning")
        need(len(out) + match <= raw_size, "an lz4 block is longer than it says")
        start = len(out) - distance
        while match > 0:  # what is copied may be what was just copied
            piece = out[start:start + match]
            out += piece
            match -= len(piece)
    need(len(out) == raw_size, "an lz4 block has", len(out), "bytes and not", raw_size)
    return bytes(out)
