"""What to do with arrays of other types than float32."""

# Widening a value is exact; fetch does it. What convert reads has it done.
_WIDEN = "save the arrays again with .astype(numpy.float32), which changes no value"
TYPE_ADVICE = {
    "float16": _WIDEN,
    "|V2": f"which is how NumPy reads bfloat16: view them as ml_dtypes.bfloat16 and {_WIDEN}",
    "bfloat16": _WIDEN,
    "uint16": f"if they are the bits of bfloat16, view them as ml_dtypes.bfloat16 and {_WIDEN}",
    "float64": "save the arrays again with .astype(numpy.float32), which rounds them",
    "int8": "quantized weights cannot be restored: name the file that they were made from",
    "uint8": "quantized weights cannot be restored: name the file that they were made from",
}
