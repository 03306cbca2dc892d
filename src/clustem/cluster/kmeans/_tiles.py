"""A small matrix product written for the registers of the machine that runs it.

Block times basis is a product with very few columns. BLAS packs its operands anew for each call,
which costs as much as the product itself here, and its rounding depends on how many rows
a call has; this kernel does neither, so a row's sketch is the same whatever block it comes in.
Decision 15 has what other ways cost.
"""

# mypy: disallow-untyped-calls=False, disallow-untyped-defs=False

from __future__ import annotations

from typing import Any

from llvmlite import binding, ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array


def _registers() -> tuple[int, int, int]:
    """Lanes of a vector, vectors and rows of a tile: as many as fit in the registers."""
    features = binding.get_host_cpu_features()
    if features.get("avx512f"):
        return 16, 2, 12
    if features.get("avx"):
        return 8, 2, 6
    return 4, 4, 6


LANES, VECTORS, TILE_ROWS = _registers()
TILE_COLUMNS = LANES * VECTORS
_F32, _I64 = ir.FloatType(), ir.IntType(64)
_VECTOR = ir.VectorType(_F32, LANES)


@intrinsic
def multiply_tile(typingctx, x, x_start, x_width, b, b_start, z, z_start, z_width, depth):  # noqa: ARG001   # numba passes its context
    """Add ``x[:TILE_ROWS, :depth] @ b[:depth, :TILE_COLUMNS]`` to a tile of ``z``.

    All arrays are float32 in C order; ``x_width`` and ``z_width`` are row lengths, ``x_start``,
    ``b_start`` and ``z_start`` flat positions of the first element.
    """
    size = types.intp
    return types.void(x, size, size, b, size, z, size, size, size), _generate


def _generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    x, b, z = (make_array(sig.args[i])(context, builder, args[i]).data for i in (0, 3, 5))
    x_start, x_width, b_start, z_start, z_width, depth = (args[i] for i in (1, 2, 4, 6, 7, 8))
    tile = [
        [builder.add(start, _int(v * LANES)) for v in range(VECTORS)]
        for start in (builder.add(z_start, builder.mul(z_width, _int(i))) for i in range(TILE_ROWS))
    ]
    rows = [builder.add(x_start, builder.mul(x_width, _int(i))) for i in range(TILE_ROWS)]
    sums = [[_load(builder, z, place) for place in row] for row in tile]
    cells = [[cgutils.alloca_once_value(builder, value) for value in row] for row in sums]
    with cgutils.for_range(builder, depth, intp=_I64) as loop:
        k = loop.index
        at = builder.add(b_start, builder.mul(k, _int(TILE_COLUMNS)))
        basis = [_load(builder, b, builder.add(at, _int(v * LANES))) for v in range(VECTORS)]
        for i, row in enumerate(rows):
            value = _splat(builder, builder.load(builder.gep(x, [builder.add(row, k)])))
            for v in range(VECTORS):
                product = builder.fmul(value, basis[v], flags=("contract",))
                total = builder.fadd(builder.load(cells[i][v]), product, flags=("contract",))
                builder.store(total, cells[i][v])
    for i in range(TILE_ROWS):
        for v in range(VECTORS):
            target = builder.bitcast(builder.gep(z, [tile[i][v]]), _VECTOR.as_pointer())
            builder.store(builder.load(cells[i][v]), target).align = 4
    return context.get_dummy_value()


def _int(value: int) -> Any:
    return ir.Constant(_I64, value)


def _load(builder: Any, array: Any, place: Any) -> Any:
    loaded = builder.load(builder.bitcast(builder.gep(array, [place]), _VECTOR.as_pointer()))
    loaded.align = 4
    return loaded


def _splat(builder: Any, value: Any) -> Any:
    undefined = ir.Constant(_VECTOR, ir.Undefined)
    one = builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
    lanes = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(one, undefined, lanes)
