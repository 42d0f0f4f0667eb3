"""Numba's missing piece: a value that holds one float32 for each of several stocks (a SIMD register).

**This is the one file that leans on numba internals** (type registration, LLVM builders, the cache's stamp); everything above
it is ordinary numba code. LLVM's auto-vectorizer cannot keep a block of a matrix product in registers, because numba has no
arrays on the stack; with a :class:`LaneVector` type, and tuples of it as *blocks*, it has no choice. LLVM maps the type onto
AVX-512, AVX2, SSE or NEON, whatever the machine has.

A *tile* is the group of stocks carried through all steps together: two lane vectors. A buffer of a tile is a flat float32 array
of rows of ``TILE`` numbers; an offset counts numbers. A *block* is ``rows × columns`` lane vectors in registers. Its size comes
from the types of two *templates*, tuples whose length alone matters, so that one source serves every block size.
"""

from __future__ import annotations

import hashlib
import operator
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, models, register_model

from alpha_pipeline import machine_code

_cpu = llvm.get_host_cpu_features()
LANES = 16 if _cpu.get("avx512f") else 8 if _cpu.get("avx") else 4
TILE = 2 * LANES
MANY_REGISTERS = LANES == 16 or platform.machine() in ("aarch64", "arm64")  # 32 vector registers; AVX2 and SSE have 16

_VECTOR = ir.VectorType(ir.FloatType(), LANES)
_BITS = ir.VectorType(ir.IntType(32), LANES)
_INDEX = ir.IntType(32)
_FLAGS = ("contract", "nsz", "arcp")  # a*b+c in one rounding; division by reciprocal and one Newton step


class LaneVector(types.Type):
    """The numba type of ``LANES`` float32 values, one per stock."""

    def __init__(self) -> None:
        super().__init__(name=f"LaneVector{LANES}")


lane_vector = LaneVector()


@register_model(LaneVector)
class _LaneVectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, numba_type: Any) -> None:
        super().__init__(manager, numba_type, _VECTOR)


# --- compiling ---------------------------------------------------------------------------------------------------------------


def lane_function(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` as a numba intrinsic: it is given types, and returns a signature and a function that writes LLVM."""
    written: Callable[..., Any] = intrinsic(function)
    return written


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` as numba code that becomes part of every kernel that calls it."""
    part: Callable[..., Any] = njit(forceinline=True, error_model="numpy")(function)
    return part


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` as machine code that releases the GIL, kept on disk between processes where a folder is writable.

    Numba discards kept code when the file of ``function`` changes; a kernel also contains what it inlines from its neighbors, so
    the stamp here covers the content of the whole folder.
    """
    kernel: Any = machine_code.compiled()(function)
    kept = getattr(kernel._cache, "_cache_file", None)
    if kept is not None:
        kept._source_stamp = source_stamp(Path(__file__).parent)
    compiled_kernel: Callable[..., Any] = kernel
    return compiled_kernel


def source_stamp(folder: Path) -> str:
    """Digest of every Python file in ``folder``."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


# --- arithmetic: +, -, *, / between lane vectors, and with plain numbers -----------------------------------------------------


def _splat(builder: Any, scalar: Any) -> Any:
    one = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), scalar, ir.Constant(_INDEX, 0))
    return builder.shuffle_vector(one, ir.Constant(_VECTOR, ir.Undefined), ir.Constant(_BITS, [0] * LANES))


def _as_vector(context: Any, builder: Any, value: Any, numba_type: Any) -> Any:
    if isinstance(numba_type, LaneVector):
        return value
    return _splat(builder, context.cast(builder, value, numba_type, types.float32))


def _define_operator(op: Any, instruction: str) -> None:
    @infer_global(op)
    class _Typing(AbstractTemplate):
        def generic(self, args: Any, kws: Any) -> Any:
            known = all(isinstance(a, (LaneVector, types.Float, types.Integer)) for a in args)
            return signature(lane_vector, *args) if known and lane_vector in args else None

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        vectors = [_as_vector(context, builder, a, t) for a, t in zip(args, sig.args, strict=True)]
        return getattr(builder, instruction)(*vectors, flags=_FLAGS)

    for operands in ((LaneVector, LaneVector), (LaneVector, types.Number), (types.Number, LaneVector)):
        lower_builtin(op, *operands)(lower)


_define_operator(operator.add, "fadd")
_define_operator(operator.sub, "fsub")
_define_operator(operator.mul, "fmul")
_define_operator(operator.truediv, "fdiv")


@lane_function
def clamp(typingctx: Any, x: Any, low: Any, high: Any) -> Any:
    """x limited to [low, high]; NaN stays NaN."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value, lowest, highest = (_as_vector(context, builder, a, t) for a, t in zip(args, sig.args, strict=True))
        value = builder.select(builder.fcmp_ordered("<", value, lowest), lowest, value)
        return builder.select(builder.fcmp_ordered(">", value, highest), highest, value)

    return lane_vector(lane_vector, types.float64, types.float64), codegen


@lane_function
def larger(typingctx: Any, x: Any, y: Any) -> Any:
    """The larger of x and y, lane by lane; y where x is NaN."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">", *args), *args)

    return lane_vector(lane_vector, lane_vector), codegen


@lane_function
def root(typingctx: Any, x: Any) -> Any:
    """√x."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        function = ir.FunctionType(_VECTOR, [_VECTOR])
        return builder.call(cgutils.get_or_insert_function(builder.module, function, f"llvm.sqrt.v{LANES}f32"), [args[0]])

    return lane_vector(lane_vector), codegen


@lane_function
def power_of_two(typingctx: Any, shifted: Any) -> Any:
    """2**n for ``shifted`` = n + 1.5·2²³, n a whole number in [-126, 127]: the low bits of such a float32 are n itself."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        n = builder.bitcast(args[0], _BITS)
        exponent = builder.add(n, ir.Constant(_BITS, [127] * LANES))
        return builder.bitcast(builder.shl(exponent, ir.Constant(_BITS, [23] * LANES)), _VECTOR)

    return lane_vector(lane_vector), codegen


@lane_function
def sum_of_lanes(typingctx: Any, x: Any) -> Any:
    """The lanes added pairwise in a fixed order, as one float32."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        total, width = args[0], LANES
        while width > 1:
            width //= 2
            upper = ir.Constant(_BITS, [i + width if i < width else i for i in range(LANES)])
            total = builder.fadd(total, builder.shuffle_vector(total, total, upper))
        return builder.extract_element(total, ir.Constant(_INDEX, 0))

    return types.float32(lane_vector), codegen


# --- memory ------------------------------------------------------------------------------------------------------------------


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, offset: Any) -> Any:
    return builder.gep(context.make_array(array_type)(context, builder, array).data, [offset])


def _shifted(builder: Any, pointer: Any, n: int) -> Any:
    return builder.gep(pointer, [ir.Constant(_INDEX, n)])


def _load(builder: Any, pointer: Any) -> Any:
    return builder.load(builder.bitcast(pointer, _VECTOR.as_pointer()), align=4)


def _store(builder: Any, value: Any, pointer: Any) -> None:
    builder.store(value, builder.bitcast(pointer, _VECTOR.as_pointer()), align=4)


@lane_function
def load(typingctx: Any, array: Any, offset: Any) -> Any:
    """``array[offset : offset + LANES]`` as a lane vector."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _load(builder, _pointer(context, builder, sig.args[0], *args))

    return lane_vector(array, types.intp), codegen


@lane_function
def store(typingctx: Any, array: Any, offset: Any, value: Any) -> Any:
    """``array[offset : offset + LANES] = value``."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        _store(builder, args[2], _pointer(context, builder, sig.args[0], args[0], args[1]))
        return context.get_dummy_value()

    return types.void(array, types.intp, lane_vector), codegen


@lane_function
def zero_before(typingctx: Any, value: Any, start: Any, now: Any) -> Any:
    """``value`` in the lanes whose ``start`` is at or before the number ``now``, 0 in the others, NaN or not."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        started = builder.fcmp_ordered("<=", args[1], _as_vector(context, builder, args[2], sig.args[2]))
        return builder.select(started, args[0], ir.Constant(_VECTOR, [0.0] * LANES))

    return lane_vector(lane_vector, lane_vector, now), codegen


# --- blocks: rows × columns lane vectors in registers ------------------------------------------------------------------------


def _block_type(rows: Any, columns: Any) -> Any:
    return types.UniTuple(lane_vector, rows.count * columns.count)


def _elements(builder: Any, block: Any, n: int) -> list[Any]:
    return [builder.extract_value(block, i) for i in range(n)]


def _multiply_add(builder: Any, a: Any, b: Any, c: Any) -> Any:
    fma = ir.FunctionType(_VECTOR, [_VECTOR] * 3)
    return builder.call(cgutils.get_or_insert_function(builder.module, fma, f"llvm.fma.v{LANES}f32"), [a, b, c])


@lane_function
def load_block(typingctx: Any, rows: Any, columns: Any, array: Any, offset: Any) -> Any:
    """A block from consecutive lane vectors, row by row. With two columns these are whole rows of a tile."""
    block = _block_type(rows, columns)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        base = _pointer(context, builder, sig.args[2], args[2], args[3])
        values = [_load(builder, _shifted(builder, base, i * LANES)) for i in range(block.count)]
        return context.make_tuple(builder, block, values)

    return block(rows, columns, array, types.intp), codegen


@lane_function
def store_block(typingctx: Any, block: Any, array: Any, offset: Any) -> Any:
    """The reverse of :func:`load_block`."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        base = _pointer(context, builder, sig.args[1], args[1], args[2])
        for i, value in enumerate(_elements(builder, args[0], block.count)):
            _store(builder, value, _shifted(builder, base, i * LANES))
        return context.get_dummy_value()

    return types.void(block, array, types.intp), codegen


@lane_function
def spread_block(typingctx: Any, rows: Any, columns: Any, array: Any, offset: Any) -> Any:
    """A block whose row j is filled with the number ``array[offset + j]``."""
    block = _block_type(rows, columns)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        base, values = _pointer(context, builder, sig.args[2], args[2], args[3]), []
        for j in range(rows.count):
            values += [_splat(builder, builder.load(_shifted(builder, base, j)))] * columns.count
        return context.make_tuple(builder, block, values)

    return block(rows, columns, array, types.intp), codegen


@lane_function
def add_weighted_row(typingctx: Any, block: Any, rows: Any, columns: Any, weights: Any, w: Any, data: Any, d: Any) -> Any:
    """``block[j] += weights[w + j] * data[d : d + columns * LANES]`` for every row j."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        weight = _pointer(context, builder, sig.args[3], args[3], args[4])
        datum = _pointer(context, builder, sig.args[5], args[5], args[6])
        row = [_load(builder, _shifted(builder, datum, q * LANES)) for q in range(columns.count)]
        values = _elements(builder, args[0], block.count)
        for j in range(rows.count):
            factor = _splat(builder, builder.load(_shifted(builder, weight, j)))
            for q in range(columns.count):
                i = j * columns.count + q
                values[i] = _multiply_add(builder, factor, row[q], values[i])
        return context.make_tuple(builder, block, values)

    return block(block, rows, columns, weights, types.intp, data, types.intp), codegen


@lane_function
def add_outer_product(typingctx: Any, block: Any, rows: Any, columns: Any, a: Any, i: Any, b: Any, k: Any) -> Any:
    """``block[j, q] += (row j of a) * (row q of b)``, lane by lane; rows are ``TILE`` apart and start at i and k."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        left = _pointer(context, builder, sig.args[3], args[3], args[4])
        right = _pointer(context, builder, sig.args[5], args[5], args[6])
        right_rows = [_load(builder, _shifted(builder, right, q * TILE)) for q in range(columns.count)]
        values = _elements(builder, args[0], block.count)
        for j in range(rows.count):
            left_row = _load(builder, _shifted(builder, left, j * TILE))
            for q in range(columns.count):
                n = j * columns.count + q
                values[n] = _multiply_add(builder, left_row, right_rows[q], values[n])
        return context.make_tuple(builder, block, values)

    return block(block, rows, columns, a, types.intp, b, types.intp), codegen
