"""What all formats of doc/FORMATS.md are made of: numbers, and the error that says what is wrong."""

MASK64 = 0xffffffffffffffff
SEQ_MAX = (1 << 56) - 1
KEY_SIZE_MAX = 65540
VALUE_SIZE_MAX = 1 << 30
DELETE, PUT, REF, DELETE_RANGE = 0, 1, 2, 3
PUT_EXPIRES, REF_EXPIRES, MERGE = 4, 5, 6
KINDS = (DELETE, PUT, REF, DELETE_RANGE, PUT_EXPIRES, REF_EXPIRES, MERGE)


class Corrupt(Exception):
    """Bytes that break a rule of the page."""


class Unsupported(Exception):
    """Bytes of a newer version of the format, or that this reader lacks the means for."""


def need(condition, *what):
    if not condition:
        raise Corrupt(" ".join(str(word) for word in what))


def kind_fits(kind, value):
    """Whether a value of this kind may be like this."""
    exact = {DELETE: 0, REF: 16, REF_EXPIRES: 24}.get(kind)
    if exact is not None:
        return len(value) == exact
    if kind == DELETE_RANGE:
        return len(value) <= KEY_SIZE_MAX
    time = 8 if kind == PUT_EXPIRES else 0
    return time <= len(value) <= VALUE_SIZE_MAX + time


def expires(kind):
    return kind in (PUT_EXPIRES, REF_EXPIRES)


def is_ref(kind):
    return kind in (REF, REF_EXPIRES)


def strip(kind, value):
    """The value or reference without the time at which it expires."""
    return value[8:] if expires(kind) else value


def u16(data, at):
    return int.from_bytes(data[at:at + 2], "little")


def u32(data, at):
    return int.from_bytes(data[at:at + 4], "little")


def u64(data, at):
    return int.from_bytes(data[at:at + 8], "little")


def mix(x):
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9 & MASK64
    x = (x ^ x >> 27) * 0x94d049bb133111eb & MASK64
    return x ^ x >> 31


class Reader:
    """Walks bytes; what does not fit is Corrupt."""

    def __init__(self, data, what):
        self.data, self.at, self.what = data, 0, what

    def left(self):
        return len(self.data) - self.at

    def bytes(self, size):
        need(size <= self.left(), self.what, "ends too early")
        self.at += size
        return self.data[self.at - size:self.at]

    def u8(self):
        return self.bytes(1)[0]

    def varint(self):
        number = 0
        for i in range(10):
            byte = self.u8()
            need(not (i == 9 and byte > 1) and not (i > 0 and byte == 0), self.what,
                 "has a number in another encoding than its own")
            number |= (byte & 0x7f) << 7 * i
            if byte < 0x80:
                return number
        raise Corrupt(f"{self.what} has a number of more than ten bytes")

    def sized(self):
        return self.bytes(self.varint())
