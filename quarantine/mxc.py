"""mxc://origin/media_id: the name of a media item."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Mxc:
    origin: str
    media_id: str

    def __str__(self) -> str:
        return f"mxc://{self.origin}/{self.media_id}"
