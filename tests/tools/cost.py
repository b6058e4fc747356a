#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The published cost of work, from the words of compute/README.md: an independent count.

    cost.py [README]      compare with the test vectors of its tables; a line each, exit status 1 if any differs

Every matrix and every token is counted by itself, where compute/cost.c has closed forms.
"""

import re
import sys


def rows(text, heading):
    """Cells of the table that begins with this row."""
    lines = text[text.index(heading):].splitlines()[2:]
    for line in lines:
        if not line.startswith("|"):
            return
        yield [cell.strip() for cell in line.strip("|").split("|")]


def attention(s):
    """Matrices, as rows and columns, and the widths of what a head meets in the cache."""
    d, heads = s("d_model"), s("n_heads")
    shapes = [(d, heads * s("d_value"))]
    if s("d_query_latent"):
        shapes += [(s("d_query_latent"), d), (heads * s("d_head"), s("d_query_latent"))]
    else:
        shapes += [(heads * s("d_head"), d)]
    if s("d_latent"):
        nope = s("d_head") - s("d_rope")
        shapes += [(s("d_latent") + s("d_rope"), d)]
        shapes += [(nope, s("d_latent")), (s("d_value"), s("d_latent"))] * heads
        return shapes, s("d_latent") + s("d_rope"), s("d_latent")
    shapes += [(s("d_head"), d), (s("d_value"), d)] * s("n_kv_heads")
    return shapes, s("d_head"), s("d_value")


def feed_forward(s, layer):
    d = s("d_model")
    if s("experts.n") == 0 or layer < s("experts.n_dense_layers"):
        return [(s("d_ff"), d)] * 3
    used = [(s("experts.d_ff"), d)] * 3 * s("experts.n_used")
    return [(s("experts.n"), d)] + used + [(s("experts.d_ff_shared"), d)] * 3


def sees(s, layer, position):
    """Positions; in a model with a window, the last layer of each period is not windowed."""
    window, period = s("window"), s("window_period")
    if window and not (period and (layer + 1) % period == 0):
        return min(position + 1, window)
    return position + 1


def cost(s, first, last, position, tokens, logits):
    total = 2 * s("d_model") * s("n_vocabulary") * logits
    for layer in range(first, last):
        shapes, d_key, d_value = attention(s)
        weights = sum(a * b for a, b in shapes + feed_forward(s, layer))
        for at in range(position, position + tokens):
            total += 2 * weights + 2 * s("n_heads") * (d_key + d_value) * sees(s, layer, at)
    return total


def main():
    path = sys.argv[1] if len(sys.argv) > 1 else "compute/README.md"
    with open(path, encoding="utf-8") as file:
        text = file.read()
    sizes = {name: {k: int(v) for k, v in re.findall(r"([a-z_.]+) (\d+)", words)}
             for name, words in rows(text, "| model | sizes |")}
    wrong = checked = 0
    for name, layers, position, tokens, logits, flop in rows(text, "| model | layers |"):
        first, last = map(int, re.findall(r"\d+", layers))
        got = cost(lambda key: sizes[name].get(key, 0), first, last, int(position), int(tokens), int(logits))
        checked += 1
        wrong += str(got) != flop
        print(f"{name} {layers} {position} {tokens} {logits}: {got}"
              + ("" if str(got) == flop else f", not {flop}"))
    sys.exit(wrong > 0 or checked == 0)


if __name__ == "__main__":
    main()
