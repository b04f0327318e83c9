#!/usr/bin/env python3
"""The page for those who change mlgate, word by word as pages.py does it: a rule, a kind and a format are added to a copy of the
tree, of which make builds what that changes. Speaks TAP."""
import tempfile

import pages


def main():
    pages.only_where_they_can_be()
    counts = []
    with tempfile.TemporaryDirectory(prefix="mlgate-pages-") as folder:
        reader = pages.Reader(folder)
        pages.TAP.run("a rule, a kind and a format are added",
                      lambda: counts.append(pages.one_page(pages.CHANGES, reader, set())))
    pages.TAP.check("blocks were run", sum(counts) >= 8, counts)
    pages.TAP.finish()


if __name__ == "__main__":
    main()
