"""LIF files by hand: a header of XML in UTF-16 and a block of memory for each image, planes stored T, Z, C, Y, X."""

import struct

import numpy as np

_DIMENSIONS = {"X": 1, "Y": 2, "Z": 3, "T": 4, "L": 5}  # L: wavelengths of a scan


def write_lif(path, images, *, luts=("Green", "Red", "Gray"), pixel=0.2e-6, depth=1e-6, step=2.0):
    """Write `images` (name -> array TCZYX, or LYX for a scan of wavelengths); sizes in metres and seconds."""
    xml, blocks = [], []
    for number, (name, array) in enumerate(images.items(), 1):
        block = f"MemBlock_{number}"
        data = np.ascontiguousarray(array if array.ndim == 3 else array.transpose(0, 2, 1, 3, 4)).tobytes()
        xml.append(_element(name, array, luts, (pixel, depth, step), block, len(data)))
        blocks.append((block, data))
    head = (
        '<LMSDataContainerHeader Version="2"><Element Name="made"><Data/>'
        f'<Memory Size="0" MemoryBlockID="MemBlock_0"/><Children>{"".join(xml)}</Children>'
        "</Element></LMSDataContainerHeader>"
    )
    with open(path, "wb") as file:
        file.write(struct.pack("<IIBI", 0x70, 2 * len(head) + 5, 0x2A, len(head)) + head.encode("utf-16-le"))
        for block, data in blocks:
            sizes = struct.pack("<BQBI", 0x2A, len(data), 0x2A, len(block))
            file.write(struct.pack("<II", 0x70, len(sizes) + 2 * len(block)) + sizes)
            file.write(block.encode("utf-16-le") + data)


def _element(name, array, luts, sizes, block, count):
    pixel, depth, step = sizes
    letters = "LYX" if array.ndim == 3 else "TCZYX"
    shape = dict(zip(letters, array.shape, strict=True))
    each = array.dtype.itemsize
    plane = each * shape["Y"] * shape["X"]
    channels = shape.get("C", 1)
    strides = {"X": each, "Y": each * shape["X"], "L": plane, "Z": plane * channels}
    strides["T"] = plane * channels * shape.get("Z", 1)
    lengths = {"X": pixel, "Y": pixel, "Z": depth, "T": step, "L": 1e-8}
    axes = "".join(
        f'<DimensionDescription DimID="{_DIMENSIONS[a]}" NumberOfElements="{shape[a]}" Origin="0" '
        f'Length="{(shape[a] - 1) * lengths[a]}" Unit="{"s" if a == "T" else "m"}" BitInc="0" BytesInc="{strides[a]}"/>'
        for a in "XYZTL"
        if a in shape and (shape[a] > 1 or a in "XY")
    )
    told = "".join(
        f'<ChannelDescription DataType="0" ChannelTag="0" Resolution="{8 * each}" NameOfMeasuredQuantity="" Min="0" '
        f'Max="{2 ** (8 * each) - 1}" Unit="" LUTName="{luts[c]}" IsLUTInverted="0" BytesInc="{c * plane}" BitInc="0"/>'
        for c in range(channels)
    )
    return (
        f'<Element Name="{name}"><Data><Image><ImageDescription><Channels>{told}</Channels>'
        f"<Dimensions>{axes}</Dimensions></ImageDescription></Image></Data>"
        f'<Memory Size="{count}" MemoryBlockID="{block}"/></Element>'
    )
