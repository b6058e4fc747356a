# SPDX-License-Identifier: Apache-2.0
"""Reads GGUF files: metadata as a dict, tensors decoded on demand to float64 arrays."""

import struct
import sys

import numpy as np

from gguf_types import BY_ID

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9
FLOATS = (0, 1, 30)


class Gguf:
    """`tensor` gives arrays with rows before columns; `keys` and `table` are what the head says."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.data = file.read()
        self.at = 4
        version, n_tensors, n_keys = self.scalar("I"), self.scalar("Q"), self.scalar("Q")
        if self.data[:4] != b"GGUF" or version not in (2, 3):
            sys.exit(f"{path}: not a GGUF file of version 2 or 3")
        self.keys = {}
        for _ in range(n_keys):
            name = self.string()
            self.keys[name] = self.value(self.scalar("I"))
        self.table = {}
        for _ in range(n_tensors):
            name = self.string()
            dims = [self.scalar("Q") for _ in range(self.scalar("I"))]
            self.table[name] = (dims, self.scalar("I"), self.scalar("Q"))
        align = self.keys.get("general.alignment", 32)
        self.base = (self.at + align - 1) // align * align

    def scalar(self, code):
        value = struct.unpack_from("<" + code, self.data, self.at)[0]
        self.at += struct.calcsize(code)
        return value

    def string(self):
        n = self.scalar("Q")
        self.at += n
        return self.data[self.at - n : self.at].decode("utf-8", "replace")

    def value(self, kind):
        if kind == STRING:
            return self.string()
        if kind == ARRAY:
            kind, n = self.scalar("I"), self.scalar("Q")
            return [self.value(kind) for _ in range(n)]
        return self.scalar(SCALARS[kind])

    def has(self, name):
        return name in self.table

    def is_quantised(self, name):
        return self.table[name][1] not in FLOATS

    def tensor(self, name):
        dims, kind, offset = self.table[name]
        raw = np.frombuffer(self.data, dtype=np.uint8, offset=self.base + offset)
        if kind not in BY_ID:
            sys.exit(f"tensor type {kind} is not known here")
        return BY_ID[kind].decode(raw, int(np.prod(dims))).reshape(dims[::-1])
