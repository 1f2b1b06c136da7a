"""The type in which `tl.dot` is given its operands."""

import torch
import triton
import triton.language as tl

_TYPES = {torch.float32: tl.float32, torch.bfloat16: tl.bfloat16, torch.float16: tl.float16}


def operand_type(dtype: torch.dtype) -> tl.dtype:
    """That of the tensors. Triton's interpreter multiplies the bits of bfloat16 as integers, so there it is float32."""
    return tl.float32 if triton.knobs.runtime.interpret else _TYPES[dtype]
