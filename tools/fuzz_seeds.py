"""One small valid file of each format that can be written here, for ``fuzz.py``.

Files of one stem belong together there, as ``.rpl`` and ``.raw`` do: all others have their own.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np


def written(folder: Path) -> list[Path]:
    """Write the files into a folder; return their paths, those of pairs by the first."""
    return [*_by_rosettasciio(folder), *by_hand(folder)]


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
        "store.zspy": spectra,
        "entry.nxs": image,
        "berkeley.emd": spectra,
        "ripple.rpl": spectra,
        "rhea.prz": patterns,
        "camera.hspy": patterns,
        "image.hspy": image,
        "surface.sur": image,
        "micrograph.tif": image,
        "semper.unf": image,
        "spectrum.msa": spectrum,
    }.items():
        path = folder / name
        signal.save(path)
        found.append(path)
    np.save(folder / "patterns.npy", patterns.data)
    tifffile.imwrite(folder / "counts.tiff", (image.data * 10).astype(np.uint16), imagej=True)
    byte = hs.signals.Signal2D(np.clip(image.data, 0, 255).astype(np.uint8))
    byte.save(folder / "picture.png")
    found += [folder / "patterns.npy", folder / "counts.tiff", folder / "picture.png"]
    found.append(write_blo(patterns, folder / "block.blo"))
    return found


def by_hand(folder: Path) -> list[Path]:
    """Write files of formats that only instruments write."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(9, (6, 5, 16)).astype("<u2")
    made = {
        "gatan.dm3": _dm3(counts[0]),
        "stack.mrc": _mrc(counts),
        "series.ser": _ser(counts),
        "merlin.mib": _mib(counts),
        "spectra.xml": _jobin_yvon(counts[0]),
        "trace.csv": _protochips(counts[0, 0]),
    }
    for name, content in made.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in made]


ZERO_ONE = (("Origin", 0.0), ("Scale", 1.0))


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

    def scale(name: str, units: str) -> bytes:
        text = units.encode("utf-16-le")
        parts = [tag(part, [6], struct.pack("<f", value)) for part, value in ZERO_ONE]
        return directory(name, [*parts, tag("Units", [20, 4, len(units)], text)])

    data = directory(
        "ImageData",
        [
            directory(
                "Calibrations",
                [
                    scale("Brightness", "counts"),
                    directory("Dimension", [scale("", "nm"), scale("", "nm")]),
                ],
            ),
            tag("Data", [20, 4, image.size], image.tobytes()),
            number("DataType", 10),
            directory("Dimensions", [number("", size) for size in image.shape[::-1]]),
            number("PixelDepth", 2),
        ],
    )
    tags = directory("ImageTags", [directory("Microscope Info", [number("Voltage", 200000)])])
    images = directory("ImageList", [directory("", [data, tags])])
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
    """Return frames of a Merlin detector, each with its head in text; a pause ends each line."""
    frames, columns = [], 3
    for i, frame in enumerate(patterns.astype(">u2")):
        height, width = frame.shape
        moment = f"2020-01-01T00:00:{i // columns:02d}.{i % columns:03d}000000Z"
        text = (
            f"MQ1,{i + 1:06d},00384,01,{width:04d},{height:04d},U16,   1x1,01,"
            f"{moment},0.001000,0,0,0,1.2e2,5.1e2,{moment},1000000ns,12,"
        )
        frames.append(text.encode().ljust(384, b"\0") + frame.tobytes())
    return b"".join(frames)


def _jobin_yvon(spectra: np.ndarray) -> bytes:
    """Return a line of spectra as LabSpec exports it: elements that numbers tell apart."""

    def part(number: str, content: str) -> str:
        return f'<LSX Format="9" ID="{number}" Size="9">{content}</LSX>'

    def listed(axis: int, name: str, units: str, size: int) -> str:
        values = " ".join(str(100.0 + i) for i in range(size))
        inner = part("0x6D707974", name) + part("0x7C696E75", units) + part("0x7D6CD4DB", values)
        return part(f"0x{axis}", inner)

    def known(name: str, first: str, second: str) -> str:
        inner = part("0x6D6D616E", name) + part("0x7D6C61DB", first) + part("0x8736F70", second)
        return part("0x6D7361DE", inner)

    about = part("0x7CECDBD7", known("Acquired", "01.01.2020 12:00:00", ""))
    setup = {"Laser (nm)": "633", "ND Filter": "50", "Hole": "100", "Acq. time (s)": "1"}
    about += part("0x8716361", "".join(known(k, v, v) for k, v in setup.items()))
    about += part("0x7C73E2D2", known("Sample", "a film", ""))
    axes = listed(1, "Spectr", "1/cm", spectra.shape[1]) + listed(2, "X", "µm", len(spectra))
    rows = "".join(
        f'<LSX_Row Format="5" ID="0x0" Size="{row.size}">{" ".join(map(str, row))}</LSX_Row>'
        for row in spectra
    )
    tree = part("0x6C62D4D9", about) + part("0x6C7469D9", "line")
    tree += part("0x7A74D9D6", part("0x7B697861", axes))
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><LSX_Data><LSX_Tree>{tree}</LSX_Tree>'
        f"<LSX_Matrix>{rows}</LSX_Matrix></LSX_Data>"
    ).encode()


def _protochips(values: np.ndarray) -> bytes:
    """Return a log of temperatures: names, what they mean, one line for each moment."""
    lines = ["Time,Notes,Channel A Temperature"]
    heads = {
        "Calibration file": "a.cal",
        "Date (yyyy.mm.dd)": "2020.01.01",
        "Time (hh:mm:ss.ms)": "12:00:00.000",
        "Time units": "Milliseconds",
        "Temperature units": "C",
        "User": "somebody",
    }
    lines += [f",{name} = {value}," for name, value in heads.items()]
    lines += [f"{10 * i},{'start' if i == 0 else ''},{v}.5" for i, v in enumerate(values)]
    return "\n".join(lines).encode()
