"""A class at rising temperatures, by jobs that continue where they were interrupted.

python examples/many_jobs.py folder sheet.png "golden retriever"
"""

import sys
from pathlib import Path

from PIL import Image

import pixelgen
from pixelgen.imaging import enlarge, make_grid

folder, file, name = sys.argv[1:]
jobs = [
    {
        "id": f"at-{temperature}",
        "command": "sample",
        "weights": "imagenet32",
        "class": name,
        "n": 3,
        "separate": True,
        "seed": 1,
        "temperature": temperature,
    }
    for temperature in (0.7, 0.85, 1.0)
]
rows = pixelgen.run_jobs(jobs, folder, on_result=lambda done: print(done.id, done.seconds, "s"))
pictures = [Image.open(Path(folder) / picture) for row in rows for picture in row.files]
make_grid([enlarge(picture, 4) for picture in pictures], columns=3).save(file)
