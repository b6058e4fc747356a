#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A pool's log checked by the formats' own words, with nothing of ayni and nothing but Python.

usage: log_verify.py FOLDER [PROOF...]

The folder's checkpoint (C2SP tlog-checkpoint, signed-note), every tile and entry bundle that a tree
of its size has (tlog-tiles), the root over the entries (RFC 6962), cosignatures in files named
*.cosigned beside a key on standard input lines "name+id+base64" (tlog-cosignature), and proofs
(tlog-proof) whose receipt is the first field of the protobuf message in the line "extra". Ed25519 is
RFC 8032's, slow and plain.
"""
import base64
import hashlib
import os
import sys

P = 2**255 - 19
Q = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
I = pow(2, (P - 1) // 4, P)


def recover_x(y, sign):
    if y >= P:
        return None
    xx = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(xx, (P + 3) // 8, P)
    if (x * x - xx) % P != 0:
        x = x * I % P
    if (x * x - xx) % P != 0 or (x == 0 and sign):
        return None
    return P - x if x & 1 != sign else x


def add(a, b):
    (x1, y1), (x2, y2) = a, b
    k = D * x1 * x2 * y1 * y2 % P
    return ((x1 * y2 + x2 * y1) * pow(1 + k, P - 2, P) % P,
            (y1 * y2 + x1 * x2) * pow(1 - k, P - 2, P) % P)


def mul(n, p):
    r = (0, 1)
    while n > 0:
        if n & 1:
            r = add(r, p)
        p = add(p, p)
        n >>= 1
    return r


def point(data):
    y = int.from_bytes(data, "little")
    x = recover_x(y & (1 << 255) - 1, y >> 255)
    return None if x is None else (x, y & (1 << 255) - 1)


BASE = (recover_x(4 * pow(5, P - 2, P) % P, 0), 4 * pow(5, P - 2, P) % P)


def ed25519_verify(key, message, signature):
    a, r = point(key), point(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= Q or len(signature) != 64:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % Q
    return mul(s, BASE) == add(r, mul(h, a))


def check(what, right):
    if not right:
        sys.exit("log_verify: %s" % what)


# ---- notes

def key_id(name, algorithm, key):
    return hashlib.sha256(name.encode() + b"\n" + bytes([algorithm]) + key).digest()[:4]


def open_note(note, name, key):
    """The text, if the key has signed it."""
    text, _, signatures = note.rpartition("\n\n")
    text += "\n"
    for line in signatures.splitlines():
        dash, who, blob = line.split(" ")
        raw = base64.b64decode(blob, validate=True)
        if dash == "\u2014" and who == name and raw[:4] == key_id(name, 1, key):
            check("a wrong signature", ed25519_verify(key, text.encode(), raw[4:]))
            return text
    sys.exit("log_verify: not signed by %s" % name)


def check_cosignature(note, vkey):
    name, _, encoded = vkey.split("+", 2)
    raw_key = base64.b64decode(encoded)
    check("the key is not a cosigner's", raw_key[0] == 4)
    text = note.rpartition("\n\n")[0] + "\n"
    for line in note.rpartition("\n\n")[2].splitlines():
        _, who, blob = line.split(" ")
        raw = base64.b64decode(blob, validate=True)
        if who == name and raw[:4] == key_id(name, 4, raw_key[1:]):
            time = int.from_bytes(raw[4:12], "big")
            message = "cosignature/v1\ntime %d\n%s" % (time, text)
            check("a wrong cosignature", ed25519_verify(raw_key[1:], message.encode(), raw[12:]))
            return
    sys.exit("log_verify: not cosigned by %s" % name)


def read_checkpoint(note):
    origin = note.split("\n")[0]
    check("the origin is not a pool's", origin.startswith("ayni.pool/"))
    lines = open_note(note, origin, bytes.fromhex(origin[10:])).splitlines()
    return int(lines[1]), base64.b64decode(lines[2], validate=True)


# ---- the tree

def leaf_hash(data):
    return hashlib.sha256(b"\0" + data).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def tree_hash(hashes):
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while 2 * k < len(hashes):
        k *= 2
    return node_hash(tree_hash(hashes[:k]), tree_hash(hashes[k:]))


def number_path(n):
    parts = ["%03d" % (n % 1000)]
    while n >= 1000:
        n //= 1000
        parts.append("x%03d" % (n % 1000))
    return "/".join(reversed(parts))


def read(folder, path, index, width):
    name = os.path.join(folder, path, number_path(index) + ("" if width == 256 else ".p/%d" % width))
    with open(name, "rb") as f:
        return f.read()


def read_entries(folder, size):
    entries = []
    for index in range((size + 255) // 256):
        width = min(256, size - index * 256)
        data = read(folder, "tile/entries", index, width)
        for _ in range(width):
            n = int.from_bytes(data[:2], "big")
            check("a short entry", len(data) >= 2 + n)
            entries.append(data[2:2 + n])
            data = data[2 + n:]
        check("bytes behind a bundle", data == b"")
    return entries


def check_tiles(folder, hashes):
    level = 0
    while hashes:
        for first in range(0, len(hashes), 256):
            part = hashes[first:first + 256]
            tile = read(folder, "tile/%d" % level, first // 256, len(part))
            check("tile %d of level %d" % (first // 256, level), tile == b"".join(part))
        hashes = [tree_hash(hashes[i:i + 256]) for i in range(0, len(hashes) - 255, 256)]
        level += 1


def check_proof(text):
    lines = text.split("\n")
    check("not a proof", lines[0] == "c2sp.org/tlog-proof@v1")
    extra = base64.b64decode(lines[1].removeprefix("extra "), validate=True)
    index = int(lines[2].removeprefix("index "))
    end = lines.index("")
    hashes = [base64.b64decode(line, validate=True) for line in lines[3:end]]
    size, root = read_checkpoint("\n".join(lines[end + 1:]))
    check("no receipt", extra[0] == 0x0a)  # field 1, bytes; its length has one or two bytes
    n, at = (extra[1], 2) if extra[1] < 128 else (extra[1] & 127 | extra[2] << 7, 3)
    r, fn, sn = leaf_hash(extra[at:at + n]), index, size - 1
    for h in hashes:
        check("too many hashes", sn != 0)
        if fn & 1 or fn == sn:
            r = node_hash(h, r)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node_hash(r, h)
        fn, sn = fn >> 1, sn >> 1
    check("the proof does not hold", sn == 0 and r == root)
    return index


def main():
    folder, files = sys.argv[1], sys.argv[2:]
    with open(os.path.join(folder, "checkpoint"), encoding="utf-8") as f:
        size, root = read_checkpoint(f.read())
    hashes = [leaf_hash(e) for e in read_entries(folder, size)]
    check("the root is another", tree_hash(hashes) == root)
    check_tiles(folder, hashes)
    print("log of %d entries: in order" % size)
    for name in files:
        with open(name, encoding="utf-8") as f:
            text = f.read()
        if name.endswith(".cosigned"):
            read_checkpoint(text)
            check_cosignature(text, sys.stdin.readline().strip())
            print("cosigned: in order")
        else:
            print("proof of entry %d: in order" % check_proof(text))


main()
