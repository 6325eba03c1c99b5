"""Sums up what `llvm-cov show --show-branches=count` says of each file: sides of branches taken, and those that never are."""

import collections
import re
import sys

BRANCH = re.compile(r"Branch \((\d+):(\d+)\): \[(?:True: ([\d.]+[kMG]?), False: ([\d.]+[kMG]?)|Folded)")

taken = collections.defaultdict(dict)
source = None
for line in sys.stdin:
    if line.startswith("== "):
        source = line[3:].strip()
    elif (found := BRANCH.search(line)) and found[3]:
        for side, count in (("true", found[3]), ("false", found[4])):
            place = (int(found[1]), int(found[2]), side)
            taken[source][place] = taken[source].get(place, False) or count != "0"

total = hit = 0
for source, places in sorted(taken.items()):
    never = sorted(place for place, was in places.items() if not was)
    total, hit = total + len(places), hit + len(places) - len(never)
    print(f"{source:32} {len(places) - len(never):4} of {len(places):4}")
    for line, column, side in never:
        print(f"    {line}:{column} is never {side}")
print(f"{'all':32} {hit:4} of {total:4} ({100 * hit / max(total, 1):.1f} %)")
