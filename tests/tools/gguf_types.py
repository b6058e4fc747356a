#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tensor types of GGUF files, from the description of each block: where the bits of element i lie.

    gguf_types.py --list                          names, ids, elements and bytes of a block
    gguf_types.py --vectors TYPE N SEED           N random blocks: bytes, then their values as
                                                  little-endian binary32, to stdout
    gguf_types.py --selftest                      encode, decode, compare

This is the tests' own definition, written apart from the engine. Each type is a table of fields; a
field says for element i (or scale j) in which byte, from which bit and how many bits wide it is, so
that one function reads all types and one writes them. Exit status 77: numpy is missing.
"""
import argparse
import sys

try:
    import numpy as np
except ImportError:
    sys.exit(77)

IQ4 = np.array([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113])
E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6])


class Field:
    """Integers spread over a block: bits [shift, shift + width) of a byte, worth 2**worth."""

    def __init__(self, *pieces):
        self.pieces = [tuple(np.broadcast_arrays(*piece)) for piece in pieces]

    def read(self, blocks):
        total = 0
        for at, shift, width, worth in self.pieces:
            bits = (blocks[:, at].astype(np.int64) >> shift) & ((1 << width) - 1)
            total = total + (bits << worth)
        return total

    def write(self, blocks, values):
        for at, shift, width, worth in self.pieces:
            bits = ((values >> worth) & ((1 << width) - 1)) << shift
            for i in range(len(at)):
                blocks[:, at[i]] |= bits[:, i].astype(np.uint8)


class Type:
    def __init__(self, number, size, quants, span=(0, 0), bias=0, table=None, scale=0, minimum=None,
                 per=32, scales=None, scale_span=(0, 0), minima=None):
        self.id, self.bytes, self.block = number, size, quants.pieces[0][0].size
        self.quants, self.bias, self.table = quants, bias, table  # value = quant - bias, or of table
        self.span = span  # of the value's integer
        self.scale, self.minimum = scale, minimum  # where the binary16 lie
        self.per = per  # elements a scale serves
        self.scales, self.minima, self.scale_span = scales, minima, scale_span

    def half(self, blocks, at):
        return blocks[:, at : at + 2].copy().view("<f2").astype(np.float64)

    def scale_values(self, blocks):
        """Scale and minimum of each group, [blocks, groups]."""
        groups = self.block // self.per
        if self is TYPES["MXFP4"]:
            return 2.0 ** (blocks[:, :1].astype(np.float64) - 127), np.zeros((len(blocks), 1))
        scale = np.repeat(self.half(blocks, self.scale), groups, axis=1)
        least = np.zeros_like(scale)
        if self.minimum is not None:
            least = np.repeat(self.half(blocks, self.minimum), groups, axis=1)
        if self.scales is not None:
            whole = self.scales.read(blocks)
            if self.scale_span == (-128, 127):  # two's complement
                whole = np.where(whole > 127, whole - 256, whole)
            else:
                whole = whole + self.scale_span[0]
            scale = scale * whole
        if self.minima is not None:
            least = -least * self.minima.read(blocks)
        return scale, least

    def decode(self, raw, n):
        """Values as binary64: scale * quant is exact, and so is the sum with the minimum."""
        blocks = raw[: n // self.block * self.bytes].reshape(-1, self.bytes)
        quants = self.quants.read(blocks)
        if self.table is not None:
            values = self.table[quants]
        elif self is TYPES["Q8_0"]:
            values = np.where(quants > 127, quants - 256, quants)
        else:
            values = quants - self.bias
        scale, least = (np.repeat(x, self.per, axis=1) for x in self.scale_values(blocks))
        return (scale * values + least).reshape(-1)

    # ---- the other direction: valid and near, not the best ----

    def encode(self, x):
        groups = np.asarray(x, np.float64).reshape(-1, self.block // self.per, self.per)
        blocks = np.zeros((len(groups), self.bytes), np.uint8)
        low = np.minimum(groups.min(axis=2), 0)
        low = low if self.minimum is not None else np.zeros_like(low)
        if self.minimum is not None:
            wanted = (groups.max(axis=2) - low) / self.span[1]
        else:
            wanted = np.abs(groups).max(axis=2) / min(-self.span[0], self.span[1])
        self.write_scales(blocks, wanted, -low)
        scale, least = self.scale_values(blocks)
        safe = np.where(scale == 0, 1, scale)[:, :, None]
        wish = np.where(scale[:, :, None] == 0, 0, (groups - least[:, :, None]) / safe)
        self.write_quants(blocks, wish.reshape(len(blocks), -1))
        return blocks.tobytes()

    def write_half(self, blocks, at, values):
        blocks[:, at : at + 2] = values.astype("<f2").view(np.uint8).reshape(-1, 2)

    def write_scales(self, blocks, wanted, depth):
        if self is TYPES["MXFP4"]:
            power = np.ceil(np.log2(np.maximum(wanted[:, 0], 2.0**-100)))
            blocks[:, 0] = np.clip(power + 127, 1, 254)
            return
        if self.scales is None:
            self.write_half(blocks, self.scale, wanted)
            if self.minimum is not None:
                self.write_half(blocks, self.minimum, -depth)
            return
        most = self.scale_span[1]
        self.write_half(blocks, self.scale, wanted.max(axis=1, keepdims=True) / most)
        unit = self.half(blocks, self.scale)
        whole = np.ceil(np.divide(wanted, unit, out=np.zeros_like(wanted), where=unit > 0))
        whole = np.clip(whole, 0, most).astype(np.int64)
        self.scales.write(
            blocks, whole if self.scale_span == (-128, 127) else whole - self.scale_span[0])
        if self.minima is not None:
            self.write_half(blocks, self.minimum, depth.max(axis=1, keepdims=True) / most)
            unit = self.half(blocks, self.minimum)
            whole = np.rint(np.divide(depth, unit, out=np.zeros_like(depth), where=unit > 0))
            self.minima.write(blocks, np.clip(whole, 0, most).astype(np.int64))

    def write_quants(self, blocks, wish):
        if self.table is not None:
            self.quants.write(blocks, np.abs(wish[:, :, None] - self.table).argmin(axis=2))
            return
        whole = np.clip(np.rint(wish), *self.span).astype(np.int64)
        self.quants.write(blocks, whole + self.bias)

    def random_blocks(self, n, random):
        """All bits random, but for exponents: scales of moderate size, none a NaN."""
        blocks = random.integers(0, 256, (n, self.bytes), np.uint8)
        for at in {self.scale, self.minimum} - {None}:
            if self is TYPES["MXFP4"]:
                blocks[:, 0] = random.integers(100, 150, n)
            else:
                blocks[:, at + 1] = blocks[:, at + 1] & 0x83 | random.integers(2, 20, n, np.uint8) << 2
        return blocks


class Float:
    """One element is a block."""

    def __init__(self, number, size):
        self.id, self.bytes, self.block = number, size, 1

    def decode(self, raw, n):
        raw = np.ascontiguousarray(raw[: n * self.bytes])
        if self.id == 30:
            return (raw.view("<u2").astype(np.uint32) << 16).view(np.float32).astype(np.float64)
        return raw.view("<f4" if self.id == 0 else "<f2").astype(np.float64)

    def encode(self, x):
        x = np.asarray(x, np.float32)
        if self.id == 30:  # the upper half of binary32, rounded to nearest even
            bits = x.view(np.uint32)
            return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16).tobytes()
        return x.astype("<f4" if self.id == 0 else "<f2").tobytes()

    def random_blocks(self, n, random):
        values = random.normal(0, 1, n) * 2.0 ** random.integers(-10, 10, n)
        return np.frombuffer(self.encode(values), np.uint8).reshape(n, -1)


I, J = np.arange(32), np.arange(8)
S, G = np.arange(256), np.arange(16)  # elements of a large block, and its groups of sixteen


def halves(first):
    """Low nibbles are the first sixteen elements, high nibbles the last."""
    return (first + I % 16, 4 * (I // 16), 4, 0)


def crumbs(first):
    """Two bits: each 32 bytes hold 128 elements, in four layers."""
    return (first + 32 * (S // 128) + S % 32, 2 * (S % 128 // 32), 2, 0)


def k_nibbles(first):
    """Each 32 bytes hold 64 elements, in two layers."""
    return (first + 32 * (S // 64) + S % 32, 4 * (S % 64 // 32), 4, 0)


def k_scales(low, late):
    """Six bits: of the first four whole, of the others four bits behind and two on top of those."""
    early = J < 4
    return Field(
        (np.where(early, low + J % 4, 12 + J % 4), np.where(early, 0, late), np.where(early, 6, 4), 0),
        (low + J % 4, 6, np.where(early, 0, 2), 4))


K_SCALES, K_MINIMA = k_scales(4, 0), k_scales(8, 4)
TYPES = {
    "F32": Float(0, 4),
    "F16": Float(1, 2),
    "BF16": Float(30, 2),
    "Q8_0": Type(8, 34, Field((2 + I, 0, 8, 0)), (-127, 127)),
    "Q4_0": Type(2, 18, Field(halves(2)), (-8, 7), bias=8),
    "Q4_1": Type(3, 20, Field(halves(4)), (0, 15), minimum=2),
    "Q5_0": Type(6, 22, Field(halves(6), (2 + I // 8, I % 8, 1, 4)), (-16, 15), bias=16),
    "Q5_1": Type(7, 24, Field(halves(8), (4 + I // 8, I % 8, 1, 4)), (0, 31), minimum=2),
    "IQ4_NL": Type(20, 18, Field(halves(2)), (-127, 113), table=IQ4),
    "MXFP4": Type(39, 17, Field(halves(1)), (-6, 6), table=E2M1),
    "Q2_K": Type(10, 84, Field(crumbs(16)), (0, 3), scale=80, minimum=82, per=16,
                 scales=Field((G, 0, 4, 0)), scale_span=(0, 15), minima=Field((G, 4, 4, 0))),
    "Q3_K": Type(11, 110, Field(crumbs(32), (S % 32, S // 32, 1, 2)), (-4, 3), bias=4, scale=108,
                 per=16, scale_span=(-32, 31),
                 scales=Field((96 + G % 8, 4 * (G // 8), 4, 0), (104 + G % 4, 2 * (G // 4), 2, 4))),
    "Q4_K": Type(12, 144, Field(k_nibbles(16)), (0, 15), minimum=2, scales=K_SCALES,
                 minima=K_MINIMA, scale_span=(0, 63)),
    "Q5_K": Type(13, 176, Field(k_nibbles(48), (16 + S % 32, S // 32, 1, 4)), (0, 31), minimum=2,
                 scales=K_SCALES, minima=K_MINIMA, scale_span=(0, 63)),
    "Q6_K": Type(14, 210, Field((64 * (S // 128) + S % 64, 4 * (S % 128 // 64), 4, 0),
                                (128 + 32 * (S // 128) + S % 32, 2 * (S % 128 // 32), 2, 4)),
                 (-32, 31), bias=32, scale=208, per=16, scales=Field((192 + G, 0, 8, 0)),
                 scale_span=(-128, 127)),
    "IQ4_XS": Type(23, 136, Field((8 + 16 * (S // 32) + S % 16, 4 * (S % 32 // 16), 4, 0)),
                   (-127, 113), table=IQ4, scale_span=(-32, 31),
                   scales=Field((4 + J // 2, 4 * (J % 2), 4, 0), (2 + J // 4, 2 * (J % 4), 2, 4))),
}
BY_ID = {t.id: t for t in TYPES.values()}
LOSS = {"F32": 1e-7, "F16": 3e-4, "BF16": 3e-3, "Q8_0": 0.006, "Q6_K": 0.03, "Q5_1": 0.045,
        "Q5_0": 0.06, "Q5_K": 0.045, "Q4_1": 0.09, "Q4_K": 0.09, "Q4_0": 0.12, "IQ4_NL": 0.11,
        "IQ4_XS": 0.12, "MXFP4": 0.18, "Q3_K": 0.25, "Q2_K": 0.4}


def selftest():
    random = np.random.Generator(np.random.PCG64(1))
    x = random.normal(0, 1, 64 * 256)
    for name, t in TYPES.items():
        raw = np.frombuffer(t.encode(x), np.uint8)
        assert raw.size == x.size // t.block * t.bytes, name
        loss = np.sqrt(np.mean((t.decode(raw, x.size) - x) ** 2) / np.mean(x * x))
        print(f"{name:8} loses {loss:.5f}")
        assert loss <= LOSS[name], name


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--selftest", action="store_true")
    parser.add_argument("--vectors", nargs=3, metavar=("TYPE", "N", "SEED"))
    options = parser.parse_args()
    if options.list:
        for name, t in TYPES.items():
            print(name, t.id, t.block, t.bytes)
    elif options.selftest:
        selftest()
    elif options.vectors:
        t, n = TYPES[options.vectors[0]], int(options.vectors[1])
        raw = t.random_blocks(n, np.random.Generator(np.random.PCG64(int(options.vectors[2]))))
        values = t.decode(np.ascontiguousarray(raw).reshape(-1), n * t.block)
        sys.stdout.buffer.write(raw.tobytes() + values.astype("<f4").tobytes())
    else:
        parser.error("one of --list, --vectors and --selftest is needed")


if __name__ == "__main__":
    main()
