"""The blocks of commands and settings in docs/, as tests run them."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from tests.environment import ROOT

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One between fences; `name` says where: "4. The first start/2" is the second below that heading."""

    name: str
    language: str
    text: str

    @property
    def lines(self) -> list[str]:
        """Commands: without comments, and with those that go on over several lines as one."""
        whole = re.sub(r"\\\n\s*", "", self.text)
        bare = (re.sub(r"\s+# .*$", "", line).strip() for line in whole.splitlines())
        return [line for line in bare if line and not line.startswith("#")]

    def without(self, *starts: str) -> "Block":
        """But for the lines that begin so."""
        if not starts:
            return self
        return replace(self, text="\n".join(line for line in self.lines if not line.startswith(starts)))


def blocks(guide: str) -> list[Block]:
    """All of a file below the root, in their order."""
    found = []
    for part in re.split(r"^#{2,3} ", (ROOT / guide).read_text(), flags=re.MULTILINE):
        heading = part.partition("\n")[0].removeprefix("# ")
        found += [Block(f"{heading}/{at}", *fence) for at, fence in enumerate(FENCE.findall(part), 1)]
    return found


def block(guide: str, name: str) -> Block:
    [found] = [one for one in blocks(guide) if one.name == name]
    return found


def set_in(file: Path, settings: str) -> None:
    """Edit a file made from .env.example as a person would: each setting in its place, commented out until now."""
    text = file.read_text()
    for line in settings.splitlines():
        name, _, value = line.partition("=")
        bare = re.sub(r"\s+# .*$", "", value)
        text, times = re.subn(rf"^#?{name}=.*$", lambda _, to=f"{name}={bare}": to, text, flags=re.MULTILINE)
        assert times == 1, f"{name} is not in .env.example"
    file.write_text(text)
