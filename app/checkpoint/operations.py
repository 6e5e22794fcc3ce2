"""The operations of ONNX and torch whose effect on layers is known, in lower case, by what they do."""

KEEPS = frozenset(
    {
        "identity", "cast", "tanh", "relu", "elu", "silu", "gelu", "selu", "leakyrelu", "leaky_relu", "sigmoid",
        "softplus", "mish", "swish", "hardswish", "hardtanh", "hardsigmoid", "celu", "softsign", "prelu", "erf",
        "dropout", "native_dropout", "feature_dropout", "clip", "clamp", "clamp_min", "clamp_max", "neg", "exp", "log",
        "sqrt", "rsqrt", "pow", "abs", "reciprocal", "detach", "clone", "contiguous", "to", "_to_copy", "lift_fresh",
        "lift_fresh_copy", "alias", "layernormalization", "batchnormalization", "layer_norm", "native_layer_norm",
        "batch_norm", "_native_batch_norm_legit_no_training", "groupnormalization", "group_norm", "rmsnormalization",
        "rms_norm", "simplifiedlayernormalization", "squeeze", "unsqueeze", "softmax", "_softmax", "logsoftmax",
        "log_softmax", "_log_softmax", "hardtanh_", "dequantizelinear", "quantizelinear", "_assert_tensor_metadata",
        "thresholdedrelu", "shrink", "log1p", "expm1", "square", "type_as", "float", "nan_to_num", "permute",
        "transpose", "t",
    }
)  # fmt: skip
"""What changes values one by one, or moves whole axes, and keeps how many there are."""
MEETS = frozenset(
    {
        "add", "sub", "mul", "div", "rsub", "maximum", "minimum", "max", "min", "where", "pow", "sum",
        "greater", "less", "gt", "lt", "ge", "le", "eq", "equal", "and", "or", "not",
    }
)  # fmt: skip
"""What joins values one by one."""
RESHAPES = frozenset(
    {
        "flatten",
        "reshape",
        "view",
        "_unsafe_view",
        "unflatten",
        "reshape_as",
        "expand",
        "expand_as",
        "tile",
        "repeat",
    }
)
"""What orders values anew or repeats them."""
JOINS = frozenset({"concat", "cat", "stack", "hstack", "concatenate"})
"""What puts values side by side."""
CUTS = frozenset(
    {
        "split", "chunk", "slice", "gather", "select", "narrow", "split_with_sizes", "index", "index_select", "unbind",
        "tensor_split", "gathernd", "getitem",
    }
)  # fmt: skip
"""What takes a part."""
POOLS = frozenset(
    {
        "reducemean", "mean", "reducemax", "reducesum", "amax", "amin", "reducemin", "std", "var", "var_mean", "sum",
        "max", "min",
    }
)  # fmt: skip
"""What reduces values to fewer."""
SIZES = frozenset(
    {"shape", "size", "sym_size", "constantofshape", "zeros_like", "ones_like", "full_like", "empty_like"}
)
"""What reads sizes, not values."""
CHOOSES = frozenset({"softmax", "_softmax", "logsoftmax", "log_softmax", "_log_softmax", "argmax"})
"""What makes probabilities, or takes the likeliest."""
IMAGE_OPS = (
    "maxpool",
    "averagepool",
    "globalaveragepool",
    "max_pool",
    "avg_pool",
    "adaptive_avg_pool",
    "pad",
)
"""What images go through, by the start of the name."""
