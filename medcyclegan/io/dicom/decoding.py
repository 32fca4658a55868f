"""The decoder of compressed DICOM frames: a program of its own, so that its crash costs one image.

It runs apart from the package (pydicom and its plug-ins alone), reads requests from standard input
and answers on standard output until its input ends. A request is one line of JSON and then the
bytes of each frame; the line holds `syntax` (transfer syntax), `fields` (of the image pixel module,
DICOM PS3.3, C.7.6.3), `sizes` (bytes of each frame) and `seconds` (after which the program ends
itself). An answer is one line of JSON, `{"dtype": ..., "shape": [frames, rows, columns]}`, and then
the bytes of the pixels, or `{"error": ...}` alone.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import warnings
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID

SPARE_BYTES = 2**28  # beyond what runs already: for libraries that are loaded on use
COPIES = 8  # of the decoded pixels, that a decoder may hold at once
TWELVE_BIT_SYNTAXES = (  # JPEG processes 2 and 4; 6 and 8; 10 and 12
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.53",
    "1.2.840.10008.1.2.4.55",
)
STATUS = Path("/proc/self/statm")


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until there are no more.

    Args:
        requests: standard input, or its like.
        answers: standard output, or its like.
    """
    while line := requests.readline():
        request = json.loads(line)
        frames = [requests.read(size) for size in request["sizes"]]
        pixels: npt.NDArray[Any] | None = None
        try:
            _limit(request)
            pixels = _decode(request["syntax"], request["fields"], frames)
            answer = {"dtype": pixels.dtype.str, "shape": pixels.shape}
        except Exception as error:  # noqa: BLE001 - decoders raise nearly anything
            answer = {"error": f"{error}"[:500] or type(error).__name__}
        answers.write(json.dumps(answer).encode() + b"\n")
        if pixels is not None:
            answers.write(pixels.data)
        answers.flush()


def _limit(request: dict[str, Any]) -> None:
    """Bound memory by what the image declares, and time in case nobody waits any more."""
    signal.alarm(request["seconds"])
    if STATUS.exists():
        import resource

        now = int(STATUS.read_text().split()[0]) * resource.getpagesize()
        pixels = request["fields"]["Rows"] * request["fields"]["Columns"]
        copies = len(request["sizes"]) + COPIES
        limit = now + SPARE_BYTES + copies * 4 * pixels
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        if hard != resource.RLIM_INFINITY:  # of a batch system or a shell, not to be raised
            limit = min(limit, hard)
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def _decode(syntax: str, fields: dict[str, Any], frames: list[bytes]) -> npt.NDArray[Any]:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    for name, value in fields.items():
        setattr(dataset, name, value)
    dataset.NumberOfFrames = len(frames)
    if syntax in TWELVE_BIT_SYNTAXES and fields["BitsStored"] > 8:
        return np.stack([_twelve_bits(syntax, fields, frame) for frame in frames])
    dataset.PixelData = encapsulate(frames)
    dataset["PixelData"].VR = "OB"
    pixels, _ = get_decoder(UID(syntax)).as_array(dataset, raw=True)
    return np.ascontiguousarray(pixels.reshape(len(frames), *pixels.shape[-2:]))


def _twelve_bits(syntax: str, fields: dict[str, Any], frame: bytes) -> npt.NDArray[Any]:
    """Return one frame of lossy JPEG with 12 bits, which pydicom hands to none of its plug-ins."""
    import gdcm

    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(frame)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((fields["Columns"], fields["Rows"], 1))
    image.SetDataElement(element)
    kind = gdcm.PhotometricInterpretation.GetPIType("MONOCHROME2")
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(kind))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(syntax)))
    stored = fields["BitsStored"]
    image.SetPixelFormat(gdcm.PixelFormat(1, 16, stored, stored - 1, fields["PixelRepresentation"]))
    text = image.GetBuffer()  # bytes, as text with surrogates
    if text is None:
        raise ValueError("GDCM gives no pixels")
    data = text.encode("utf-8", "surrogateescape")
    type_ = "<i2" if fields["PixelRepresentation"] else "<u2"
    return np.frombuffer(data, type_).reshape(fields["Rows"], fields["Columns"])


if __name__ == "__main__":
    channel = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print must not reach the parent
    warnings.simplefilter("ignore")
    serve(sys.stdin.buffer, channel)
