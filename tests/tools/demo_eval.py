#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Measures the demo model with the program itself: `ayni run`, greedy, one question at a time.

Usage: demo_eval.py [--program build/ayni] [--model FILE] [--every N]

Asks every sum whose operands were held out from training (each in one wording, taken in turn), and
every wording of every fact. A sum is right if the answer is exactly what demo_corpus.py teaches.
Exit status 1 if fewer than 98 % of the held-out sums are right.
"""
import argparse
import concurrent.futures
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import demo_corpus as corpus


def ask(options, question):
    command = [options.program, "run", options.model, "-p", question, "-n", "80", "--threads", "1"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.rstrip("\n")


def measure(options, name, questions):
    """Ask (question, answer) pairs; print and return the share that is right."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        answers = list(pool.map(lambda q: ask(options, q[0]), questions))
    wrong = [(q, a, got) for (q, a), got in zip(questions, answers) if got != a]
    for question, answer, got in wrong[:options.show]:
        print(f"  {question!r}: {got!r} instead of {answer!r}")
    share = 1 - len(wrong) / len(questions)
    print(f"{name}: {len(questions) - len(wrong)} of {len(questions)} right, {100 * share:.2f} %")
    return share


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", default="build/ayni")
    parser.add_argument("--model", default="configs/models/ayni-demo.gguf")
    parser.add_argument("--every", type=int, default=1, help="only every N-th question")
    parser.add_argument("--show", type=int, default=10, help="wrong answers to print")
    options = parser.parse_args()
    sums = []
    for i, (op, a, b) in enumerate(corpus.all_pairs(True)):
        wording = corpus.SUM_WORDINGS[op][i % len(corpus.SUM_WORDINGS[op])]
        sums.append((wording.format(a=a, b=b), corpus.sum_answer(op, a, b)))
    facts = [(q, answer) for questions, answer in corpus.FACTS + corpus.GREETINGS
             for q in questions]
    share = measure(options, "sums held out from training", sums[::options.every])
    measure(options, "facts and greetings", facts[::options.every])
    sys.exit(0 if share >= 0.98 else 1)


if __name__ == "__main__":
    main()
