"""Pictures that were dropped on the page: each is looked at at once, and kept or refused with the reason."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from trainedon.errors import PictureError, UserError
from trainedon.pictures.pixels.names import is_picture
from trainedon.pictures.pixels.picture import digest, unpack
from trainedon.reading import read_bytes
from trainedon.safe_names import safe_name

MOST_PICTURES = 5_000  # of one set; more are for the command line, which reads them where they lie
MOST_FILE = 100 * 2**20  # bytes of one picture
MOST_CAPTION = 2**16  # bytes
CAPTION = ".txt"


@dataclass
class Dropped:
    """The pictures of one set, in a folder of their own. names: digest of a picture's file -> name of the file."""

    folder: Path
    most: int = MOST_PICTURES
    names: dict[str, str] = field(default_factory=dict)
    _taken: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.folder.mkdir(mode=0o700)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def strays(self) -> list[str]:
        """Text files that are the caption of no picture, by name."""
        pictures = {Path(name).stem for name in self.names.values()}
        texts = (path for path in self.folder.glob(f"*{CAPTION}") if path.name not in self.names.values())
        return sorted(path.name for path in texts if path.stem not in pictures)

    def take(self, files: Sequence[Path]) -> list[str]:
        """Keep what can be used as a picture, and the text files beside, which are captions. Returns a sentence for
        each file that cannot; the files that were given are gone afterwards."""
        refused: list[str] = []
        for file in sorted(files, key=lambda file: file.name):
            try:
                self._take(file)
            except (PictureError, UserError) as error:
                refused.append(f"{file.name}: {error}")
            except OSError as error:
                refused.append(f"{file.name}: it cannot be read ({error.strerror})")
            file.unlink(missing_ok=True)
        return refused

    def clear(self) -> None:
        """Remove all of them."""
        shutil.rmtree(self.folder)
        self.names.clear()
        self._taken.clear()
        self.folder.mkdir(mode=0o700)

    def _take(self, file: Path) -> None:
        if file.is_symlink():
            raise UserError("it is a link and no picture; drop the picture itself")
        if file.stat().st_size > MOST_FILE:
            raise UserError(f"it has more than {MOST_FILE // 2**20} MiB; a smaller copy serves as well")
        data = read_bytes(file, MOST_FILE)
        if file.suffix.lower() == CAPTION:
            self._keep_caption(file.name, data)
            return
        if len(self) >= self.most:
            raise UserError(f"there are {self.most} pictures already; the command line takes more: trainedon audit")
        _, facts = unpack(data)
        known = self.names.get(digest(data))
        if known is not None:
            raise UserError(f"it is the same file as {known}")
        suffix = "" if is_picture(file.name) else f".{str(facts['format']).lower()}"  # its content tells what it is
        name = safe_name(file.name, self._taken, suffix)
        (self.folder / name).write_bytes(data)
        self.names[digest(data)] = name

    def _keep_caption(self, name: str, data: bytes) -> None:
        """A caption belongs to the picture whose name it has, so its own is never changed."""
        if len(data) > MOST_CAPTION:
            raise UserError("it is too long for a caption")
        try:
            data.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise UserError("it is no text in UTF-8, and so no caption") from None
        safe = safe_name(name)
        if safe.lower() in self._taken:
            raise UserError("there is a caption of that name already")
        self._taken.add(safe.lower())
        (self.folder / safe).write_bytes(data)
