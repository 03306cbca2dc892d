"""One small valid file of each format that can be written here, for ``fuzz.py``."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np


def written(folder: Path) -> list[Path]:
    """Write the files into a folder; return their paths, those of pairs by the first."""
    return [*_by_rosettasciio(folder), *_by_hand(folder)]


def _by_rosettasciio(folder: Path) -> list[Path]:
    import hyperspy.api as hs
    import tifffile

    from clustem import samples
    from clustem.io.blockfile import write_blo

    spectra = samples.eds(shape=(6, 7)).signal
    row, column = np.indices((48, 40))
    stripes = 99 + 50 * np.sin(np.where(column < 20, row, column + row) / 2)
    image = hs.signals.Signal2D(stripes.astype(np.float32))
    patterns = samples.diffraction(shape=(8, 9), detector=(32, 32)).signal
    spectrum = hs.signals.Signal1D(np.asarray(spectra.sum().data, dtype=np.float32))
    found = []
    for name, signal in {
        "map.hspy": spectra,
        "map.zspy": spectra,
        "image.nxs": image,
        "map.emd": spectra,
        "map.rpl": spectra,
        "map.prz": patterns,
        "patterns.hspy": patterns,
        "image.hspy": image,
        "image.sur": image,
        "image.tif": image,
        "image.unf": image,
        "spectrum.msa": spectrum,
    }.items():
        path = folder / name
        signal.save(path)
        found.append(path)
    np.save(folder / "patterns.npy", patterns.data)
    tifffile.imwrite(folder / "counts.tiff", (image.data * 10).astype(np.uint16), imagej=True)
    byte = hs.signals.Signal2D(np.clip(image.data, 0, 255).astype(np.uint8))
    byte.save(folder / "image.png")
    found += [folder / "patterns.npy", folder / "counts.tiff", folder / "image.png"]
    found.append(write_blo(patterns, folder / "patterns.blo"))
    return found


def _by_hand(folder: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    counts = rng.poisson(9, (5, 6, 16)).astype("<u2")
    made = {
        "image.dm3": _dm3(counts[0]),
        "patterns.mrc": _mrc(counts),
        "series.ser": _ser(counts),
        "pattern.mib": _mib(counts),
        "spectra.xml": _jobin_yvon(counts[0, 0]),
        "trace.csv": _protochips(counts[0, 0]),
    }
    for name, content in made.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in made]


def _dm3(image: np.ndarray) -> bytes:
    """Return an image as DigitalMicrograph's tags: groups, numbers and one array."""

    def group(entries: list[bytes]) -> bytes:
        return b"\0\0" + struct.pack(">I", len(entries)) + b"".join(entries)

    def directory(name: str, entries: list[bytes]) -> bytes:
        return b"\x14" + struct.pack(">H", len(name)) + name.encode() + group(entries)

    def tag(name: str, definition: list[int], value: bytes) -> bytes:
        head = b"\x15" + struct.pack(">H", len(name)) + name.encode() + b"%%%%"
        return head + struct.pack(f">I{len(definition)}I", len(definition), *definition) + value

    def number(name: str, value: int) -> bytes:
        return tag(name, [5], struct.pack("<I", value))

    sizes = directory("Dimensions", [number("", size) for size in image.shape[::-1]])
    data = directory(
        "ImageData",
        [
            tag("Data", [20, 4, image.size], image.tobytes()),
            number("DataType", 10),
            sizes,
            number("PixelDepth", 2),
        ],
    )
    images = directory("ImageList", [directory("", [data])])
    root = group([images])
    return struct.pack(">III", 3, len(root) + 4, 1) + root + b"\0\0\0\0"


def _mrc(stack: np.ndarray) -> bytes:
    """Return images of 16 bits behind the 1024 bytes that MRC files start with."""
    count, rows, columns = stack.shape
    head = struct.pack("<10i6f", columns, rows, count, 6, 0, 0, 0, columns, rows, count, *[1.0] * 6)
    return head.ljust(208, b"\0") + b"MAP DD\0\0".ljust(1024 - 208, b"\0") + stack.tobytes()


def _ser(spectra: np.ndarray) -> bytes:
    """Return spectra on a scan as a series of FEI's."""
    rows, columns, size = spectra.shape
    n = rows * columns
    head = struct.pack("<HHHIIIi", 0x4949, 0x0197, 0x0210, 0x4120, 0x4142, n, n)
    dimensions = b""
    for count, name in ((columns, b"x"), (rows, b"y")):
        dimensions += struct.pack("<IddI", count, 0.0, 1e-9, 0)
        dimensions += struct.pack("<I", len(name)) + name + struct.pack("<I", 1) + b"m"
    offset_array = len(head) + 4 + 4 + len(dimensions)
    head += struct.pack("<II", offset_array, 2)
    each = struct.pack("<ddI", 0.0, 10.0, 0) + struct.pack("<HI", 2, size)
    first = offset_array + 8 * n
    step = len(each) + 2 * size
    tags_at = first + n * step
    offsets = [first + i * step for i in range(n)] + [tags_at + 24 * i for i in range(n)]
    body = b"".join(each + row.tobytes() for row in spectra.reshape(n, size))
    tags = b"".join(struct.pack("<HHIdd", 0x4142, 0, 0, 0.0, 0.0) for _ in range(n))
    return head + dimensions + struct.pack(f"<{2 * n}I", *offsets) + body + tags


def _mib(patterns: np.ndarray) -> bytes:
    """Return frames of a Merlin detector, each with its head in text."""
    frames = []
    for i, frame in enumerate(patterns.astype(">u2")):
        text = (
            f"MQ1,{i + 1:06d},00384,01,{frame.shape[1]:04d},{frame.shape[0]:04d},U16,   1x1,01,"
            "2020-01-01 00:00:00.000000,0.001,0,0,0,1.2e2,"
        )
        frames.append(text.encode().ljust(384, b"\0") + frame.tobytes())
    return b"".join(frames)


def _jobin_yvon(spectrum: np.ndarray) -> bytes:
    values = " ".join(map(str, spectrum))
    return (
        f'<?xml version="1.0"?><LSX_Data><LSX_Tree><LSX Format="9" ID="0x6D6DFFFF" Name="x">'
        f"<LSX_Row>{values}</LSX_Row></LSX></LSX_Tree></LSX_Data>"
    ).encode()


def _protochips(values: np.ndarray) -> bytes:
    lines = ["Experiment Date,Temperature Units,Time Units", "'2020-01-01','C','ms'"]
    lines += [f"{i},{value}" for i, value in enumerate(values)]
    return "\n".join(lines).encode()
