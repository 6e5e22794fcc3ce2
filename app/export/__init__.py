"""A checkpoint's policy in the files of others: safetensors, ONNX, Stable-Baselines3, torch's weights alone.

Values of float32 tensors stand in a checkpoint as the raw little-endian bytes that these formats hold too. So an
export is a plan of known bytes and of ranges to copy: neither torch nor the tensors are loaded, memory does not
grow with the network, the size is known before the first byte, and nothing of the file is executed.
"""
