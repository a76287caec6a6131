#!/usr/bin/env python3
"""A folder of JPEGs as `pack images` takes it: train/ and test/, two classes (one grey), 12 and 6 images of each.

    photos.py FOLDER
"""
import os
import sys

from pictures import jpeg

for split, count in (("train", 12), ("test", 6)):
    for name in ("cat", "dog"):
        folder = os.path.join(sys.argv[1], split, name)
        os.makedirs(folder)
        for number in range(count):
            with open(os.path.join(folder, f"{number}.jpg"), "wb") as file:
                file.write(jpeg(f"{split}{name}{number}", "colour" if name == "cat" else "grey"))
