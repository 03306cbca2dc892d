"""Try an installed package as a stranger would: ``python tools/installed.py PYTHON``.

PYTHON is the interpreter of an environment that holds nothing but Clustem and what it needs.
"""

import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

_MOST_IMPORT = 0.3
"""Time that ``import clustem`` may take beyond the interpreter's own start [s]."""
_SAVE = "from clustem.samples import eds; eds(shape=(20, 24)).signal.save('map.hspy')"


def main() -> None:
    python = Path(sys.argv[1]).absolute()
    with tempfile.TemporaryDirectory() as folder:

        def run(*words: str) -> str:
            command = [str(python), "-W", "ignore", *words]
            found = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            if found.returncode:
                raise SystemExit(f"{' '.join(words)}: {found.stderr}")
            return found.stdout

        def seconds(code: str) -> float:
            times = []
            for _ in range(5):
                start = time.perf_counter()
                run("-c", code)
                times.append(time.perf_counter() - start)
            return statistics.median(times)

        where = run("-c", "import clustem; print(clustem.__file__, clustem.__version__)")
        print("installed:", where.strip())
        taken = seconds("import clustem") - seconds("pass")
        print(f"import clustem: {taken:.2f} s")
        if taken > _MOST_IMPORT:
            raise SystemExit(f"import clustem must take at most {_MOST_IMPORT} s")
        run("-m", "clustem", "demo", "eds", "-o", "demo")
        run("-c", _SAVE)
        run("-m", "clustem", "run", "map.hspy", "-r", "eds", "-k", "4", "-o", "result")
        for name in ("demo", "result"):
            report = Path(folder, name, "report.html")
            print(f"{name}/report.html: {report.stat().st_size / 1e3:.0f} kB")
        _serve(python, folder)


def _serve(python: Path, folder: str) -> None:
    command = [str(python), "-m", "clustem", "serve", "map.hspy", "--port", "0", "--no-token"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as server:
        try:
            for line in server.stdout or ():
                found = re.search(r"http://\S+", line)
                if found:
                    break
            else:
                raise SystemExit("clustem serve printed no address")
            with urllib.request.urlopen(found.group(), timeout=30) as answer:  # noqa: S310  # our own
                page = answer.read().decode()
            if "Clustem" not in page:
                raise SystemExit("the explorer's page says nothing of Clustem")
            print(f"clustem serve: {len(page) / 1e3:.0f} kB from {found.group()}")
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
