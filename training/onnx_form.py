"""A parsed ONNX network in, the same network in the form that can be made trainable out.

What is trained from ONNX files goes through onnx2torch, which knows operators up to opset 17 or so, and no `allowzero`;
files exported by torch today are newer, and often made for a single picture at a time.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_OPSET = 17


def trainable_form(model: Any) -> Any:
    """Return `model` in opset 17 where ONNX can convert it, with reshapes that take any number of pictures."""
    from onnx import version_converter

    opsets = {entry.domain: entry.version for entry in model.opset_import}
    if opsets.get("", 0) > _OPSET:
        try:
            model = version_converter.convert_version(model, _OPSET)
        except RuntimeError:  # of an operator that is younger; most can be trained as they are
            return model
    single = model.graph.input and _first_axis(model.graph.input[0]) == 1
    for node in model.graph.node:
        if node.op_type == "Reshape":
            _free_reshape(model.graph, node, single=bool(single))
    return model


def _free_reshape(graph: Any, node: Any, *, single: bool) -> None:
    """Drop `allowzero` where no size is 0, and let the first axis follow from the rest where it was one picture's."""
    from onnx import numpy_helper

    shape = _constant(graph, node.input[1])
    if shape is None or 0 in shape:
        return
    kept = [attribute for attribute in node.attribute if attribute.name != "allowzero"]
    del node.attribute[:]
    node.attribute.extend(kept)
    if single and len(shape) > 1 and shape[0] == 1 and -1 not in shape:
        name = f"{node.output[0]}/free_shape"
        free = np.array([-1, *shape[1:]], np.int64)
        graph.initializer.append(numpy_helper.from_array(free, name))
        node.input[1] = name


def _constant(graph: Any, name: str) -> list[int] | None:
    """Return the numbers of a constant; None for what is computed."""
    from onnx import numpy_helper

    tensors = [tensor for tensor in graph.initializer if tensor.name == name]
    for node in graph.node:
        if node.op_type == "Constant" and name in node.output:
            tensors += [attribute.t for attribute in node.attribute if attribute.name == "value"]
    return [int(number) for number in numpy_helper.to_array(tensors[0]).ravel()] if tensors else None


def _first_axis(entry: Any) -> int:
    """Return the size of the first axis of an input, 0 for a free one."""
    dims = entry.type.tensor_type.shape.dim
    return int(dims[0].dim_value) if dims else 0
