#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Measures the demo model: greedy answers to sums held out from training, and to all facts.

Usage: demo_eval.py [--model FILE] [--program build/ayni] [--every N] [--seen]
                    [--all-wordings] [--ask TEXT]...

Without --program the answers are computed from the file with numpy alone, thousands at a time.
With it the program itself is asked (`ayni run`), one question at a time: slower, and the last word.
Exit status 1 if fewer than 98 % of the held-out sums are right.

Each held-out pair is asked in one wording, taken in turn. An answer is right if it is exactly what
demo_corpus.py teaches. Facts and greetings are asked in wordings seen in training: that measures
memory, not understanding; only the sums are held out.
"""
import argparse
import concurrent.futures
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import demo_corpus as corpus


def by_program(options):
    """Answers of `ayni run`, which takes one question and no earlier turns."""
    def ask(question):
        command = [options.program, "run", options.model, "-p", question, "-n", "80",
                   "--threads", "1"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return done.stdout.rstrip("\n")

    def ask_all(dialogues):
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            return list(pool.map(ask, [turns[-1][1] for turns in dialogues]))
    return ask_all


def by_numpy(options):
    import demo_infer  # here, so that --program needs no numpy
    return demo_infer.Model(options.model).answers


def measure(options, ask_all, name, questions):
    """Ask (turns, answer) pairs; print and return the share that is right."""
    questions = questions[::options.every]
    answers = ask_all([turns for turns, _ in questions])
    wrong = [(turns[-1][1], want, got)
             for (turns, want), got in zip(questions, answers) if got != want]
    for question, want, got in wrong[:options.show]:
        print(f"  {question!r}: {got!r} instead of {want!r}")
    share = 1 - len(wrong) / len(questions)
    print(f"{name}: {len(questions) - len(wrong)} of {len(questions)} right, {100 * share:.2f} %",
          flush=True)
    return share


def single(question):
    return [("user", question)]


def sums(held, every_wording=False):
    """Each pair that is (not) held out, in one wording, taken in turn, or in all."""
    out = []
    for i, (op, a, b) in enumerate(corpus.all_pairs(held)):
        wordings = corpus.SUM_WORDINGS[op]
        for wording in wordings if every_wording else [wordings[i % len(wordings)]]:
            out.append((single(wording.format(a=a, b=b)), corpus.sum_answer(op, a, b)))
    return out


def texts(table):
    return [(single(q), answer) for questions, answer in table for q in questions]


def after_a_fact(questions):
    """The same questions as the second turn of a chat: an earlier answer must not mislead."""
    facts = texts(corpus.FACTS)
    return [([*facts[i % len(facts)][0], ("assistant", facts[i % len(facts)][1]), *turns], answer)
            for i, (turns, answer) in enumerate(questions)]


def show_answers(ask_all, questions):
    for question, answer in zip(questions, ask_all([single(q) for q in questions])):
        print(f"> {question}\n{answer}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", help="ask this program instead of computing with numpy")
    parser.add_argument("--model", default="configs/models/ayni-demo.gguf")
    parser.add_argument("--every", type=int, default=1, help="only every N-th question")
    parser.add_argument("--show", type=int, default=10, help="wrong answers to print")
    parser.add_argument("--seen", action="store_true", help="ask the sums of training as well")
    parser.add_argument("--all-wordings", action="store_true",
                        help="ask the held-out sums in every wording as well")
    parser.add_argument("--ask", action="append", help="only answer this question")
    options = parser.parse_args()
    ask_all = by_program(options) if options.program else by_numpy(options)
    if options.ask:
        show_answers(ask_all, options.ask)
        return
    held = sums(True)
    share = measure(options, ask_all, "sums held out from training", held)
    if not options.program:
        measure(options, ask_all, "the same sums after a fact", after_a_fact(held))
    if options.all_wordings:
        measure(options, ask_all, "the same sums in every wording", sums(True, True))
    if options.seen:
        measure(options, ask_all, "sums of training", sums(False))
    measure(options, ask_all, "facts", texts(corpus.FACTS))
    measure(options, ask_all, "greetings", texts(corpus.GREETINGS))
    sys.exit(0 if share >= 0.98 else 1)


if __name__ == "__main__":
    main()
