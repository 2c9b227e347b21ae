"""A class at rising temperatures, by jobs that go on where they were when they were stopped.

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
rows = pixelgen.run_jobs(jobs, folder, on_result=lambda made: print(made.id, made.seconds, "s"))
pictures = [Image.open(Path(folder) / picture) for made in rows for picture in made.files]
make_grid([enlarge(picture, 4) for picture in pictures], columns=3).save(file)
