"""XXH3 with 64 bits, from its public specification
(https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md), in Python alone."""
import struct

MASK32 = 0xffffffff
MASK64 = 0xffffffffffffffff

PRIME32_1, PRIME32_2, PRIME32_3 = 0x9e3779b1, 0x85ebca77, 0xc2b2ae3d
PRIME64_1, PRIME64_2, PRIME64_3 = 0x9e3779b185ebca87, 0xc2b2ae3d27d4eb4f, 0x165667b19e3779f9
PRIME64_4, PRIME64_5 = 0x85ebca77c2b2ae63, 0x27d4eb2f165667c5
PRIME_MX1, PRIME_MX2 = 0x165667919e3779f9, 0x9fb21c651e98df25

SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f"
    "cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c"
    "3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364"
    "eac5ac8334d3ebc3c581a0fffa1363eb170ddd51b7f0da49d316552629d4689e"
    "2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e")

STRIPE = 64
STRIPES_IN_BLOCK = (len(SECRET) - STRIPE) // 8


def u32(data, at):
    return int.from_bytes(data[at:at + 4], "little")


def u64(data, at):
    return int.from_bytes(data[at:at + 8], "little")


def byte_swap(x, size):
    return int.from_bytes(x.to_bytes(size, "little"), "big")


def fold(a, b):
    product = a * b
    return (product & MASK64) ^ (product >> 64)


def avalanche(x):
    x ^= x >> 37
    x = x * PRIME_MX1 & MASK64
    return x ^ x >> 32


def avalanche_64(x):
    """The finaliser of XXH64."""
    x ^= x >> 33
    x = x * PRIME64_2 & MASK64
    x ^= x >> 29
    x = x * PRIME64_3 & MASK64
    return x ^ x >> 32


def hash_to_16(data, seed):
    size = len(data)
    if size > 8:
        low = u64(data, 0) ^ ((u64(SECRET, 24) ^ u64(SECRET, 32)) + seed & MASK64)
        high = u64(data, size - 8) ^ ((u64(SECRET, 40) ^ u64(SECRET, 48)) - seed & MASK64)
        return avalanche(size + byte_swap(low, 8) + high + fold(low, high) & MASK64)
    if size >= 4:
        seed ^= byte_swap(seed & MASK32, 4) << 32
        both = u32(data, size - 4) + (u32(data, 0) << 32)
        x = both ^ ((u64(SECRET, 8) ^ u64(SECRET, 16)) - seed & MASK64)
        x ^= (x << 49 | x >> 15) & MASK64 ^ (x << 24 | x >> 40) & MASK64
        x = x * PRIME_MX2 & MASK64
        x ^= (x >> 35) + size
        x = x * PRIME_MX2 & MASK64
        return x ^ x >> 28
    if size > 0:
        both = data[0] << 16 | data[size >> 1] << 24 | data[size - 1] | size << 8
        return avalanche_64(both ^ ((u32(SECRET, 0) ^ u32(SECRET, 4)) + seed & MASK64))
    return avalanche_64(seed ^ u64(SECRET, 56) ^ u64(SECRET, 64))


def mix_16(data, at, secret_at, seed):
    return fold(u64(data, at) ^ (u64(SECRET, secret_at) + seed & MASK64),
                u64(data, at + 8) ^ (u64(SECRET, secret_at + 8) - seed & MASK64))


def hash_to_128(data, seed):
    size = len(data)
    sum_ = size * PRIME64_1
    for i in range((size - 1) // 32, -1, -1):
        sum_ += mix_16(data, 16 * i, 32 * i, seed)
        sum_ += mix_16(data, size - 16 * (i + 1), 32 * i + 16, seed)
    return avalanche(sum_ & MASK64)


def hash_to_240(data, seed):
    size = len(data)
    sum_ = size * PRIME64_1
    for i in range(8):
        sum_ += mix_16(data, 16 * i, 16 * i, seed)
    sum_ = avalanche(sum_ & MASK64)
    for i in range(8, size // 16):
        sum_ += mix_16(data, 16 * i, 16 * (i - 8) + 3, seed)
    sum_ += mix_16(data, size - 16, 136 - 17, seed)
    return avalanche(sum_ & MASK64)


def seeded_secret(seed):
    if seed == 0:
        return SECRET
    words = struct.unpack("<24Q", SECRET)
    return struct.pack("<24Q", *((w + (-seed if i & 1 else seed)) & MASK64
                                 for i, w in enumerate(words)))


def accumulate(acc, stripe, keys):
    d = stripe
    for i in range(8):
        keyed = d[i] ^ keys[i]
        acc[i ^ 1] += d[i]
        acc[i] += (keyed & MASK32) * (keyed >> 32)
    for i in range(8):
        acc[i] &= MASK64


def hash_long(data, seed):
    size = len(data)
    secret = seeded_secret(seed)
    keys = [struct.unpack_from("<8Q", secret, 8 * i) for i in range(STRIPES_IN_BLOCK)]
    scramble = struct.unpack_from("<8Q", secret, len(secret) - STRIPE)
    acc = [PRIME32_3, PRIME64_1, PRIME64_2, PRIME64_3,
           PRIME64_4, PRIME32_2, PRIME64_5, PRIME32_1]
    for n in range((size - 1) // STRIPE):
        accumulate(acc, struct.unpack_from("<8Q", data, n * STRIPE), keys[n % STRIPES_IN_BLOCK])
        if n % STRIPES_IN_BLOCK == STRIPES_IN_BLOCK - 1 and (n + 1) * STRIPE < size:
            acc = [(a ^ a >> 47 ^ s) * PRIME32_1 & MASK64 for a, s in zip(acc, scramble)]
    accumulate(acc, struct.unpack_from("<8Q", data, size - STRIPE),
               struct.unpack_from("<8Q", secret, len(secret) - STRIPE - 7))
    result = size * PRIME64_1
    for i in range(4):
        result += fold(acc[2 * i] ^ u64(secret, 11 + 16 * i),
                       acc[2 * i + 1] ^ u64(secret, 19 + 16 * i))
    return avalanche(result & MASK64)


def xxh3_64(data, seed=0):
    size = len(data)
    if size <= 16:
        return hash_to_16(data, seed)
    if size <= 128:
        return hash_to_128(data, seed)
    if size <= 240:
        return hash_to_240(data, seed)
    return hash_long(data, seed)


def checksum(data, seed=0):
    return xxh3_64(data, seed) & MASK32
