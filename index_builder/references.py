"""Gallery rows in, a few reference photos out: network inputs and their vectors, to try running networks with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from index_builder.manifest import ReferencePhoto
from index_builder.pictures import DIGEST_BYTES, Loaded, Task, load
from index_builder.shards import Row

REFERENCES = 4
FOLDER = "references"


class ReferencePicker:
    """Takes rows from all over the gallery while they pass by in order, `pictures` of them and of unusable ones."""

    def __init__(self, folder: Path, task: Task, *, pictures: int) -> None:
        self.photos: list[ReferencePhoto] = []
        self._folder = folder
        self._task = replace(task, known=np.zeros(0, f"S{DIGEST_BYTES}"))
        self._pictures = pictures
        self._rows = 0

    def offer(self, row: Row, *, picture: int) -> None:
        """Take this row, whose picture has this number, if it is the turn of one.

        The picture is loaded again, which costs less than keeping every network input. A row whose picture is another
        by now is passed over: its vector could not be made again from what is kept.
        """
        number, self._rows = self._rows, self._rows + 1
        taken = len(self.photos)
        if taken == REFERENCES or picture / self._pictures * REFERENCES < taken:
            return
        loaded = load(row.job, self._task)
        if not isinstance(loaded, Loaded) or loaded.digest != row.made.digest:
            return
        name = f"{FOLDER}/{number}.png"
        (self._folder / FOLDER).mkdir(exist_ok=True)
        Image.fromarray(loaded.pixels).save(self._folder / name)
        plain = row.made.vector if row.made.plain is None else row.made.plain
        photo = ReferencePhoto(row=number, product_id=row.product.product_id, image=name, image_vector=plain.tolist())
        self.photos.append(photo)
