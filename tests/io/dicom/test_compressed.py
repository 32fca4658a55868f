from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.encaps import generate_frames

from medcyclegan.errors import VolumeError
from medcyclegan.io import find_volumes, read_source, read_volume
from medcyclegan.io.dicom import compressed
from medcyclegan.io.dicom.compressed import Decoder

DIES = """
import os, signal, sys
sys.stdin.buffer.readline()
os.kill(os.getpid(), signal.SIGSEGV)
"""
HANGS = """
import sys, time
sys.stdin.buffer.readline()
time.sleep(60)
"""
ANSWERS = """
import sys
sys.stdin.buffer.readline()
print('{"dtype": "TYPE", "shape": [9, 9, 9]}', flush=True)
sys.stdin.buffer.read()
"""
GREEDY = """
import sys
from medcyclegan.io.dicom import decoding
decoding._decode = lambda *request: bytearray(2**31)
decoding.serve(sys.stdin.buffer, sys.stdout.buffer)
"""


@pytest.fixture
def decoder() -> Iterator[Decoder]:
    own = Decoder()
    yield own
    own.close()


def example(real_data: Path, syntax: str) -> tuple[Any, dict[str, Any], list[bytes]]:
    """A real compressed image: its data set, the fields to decode it by, and its one frame."""
    (path,) = (real_data / "cornerstone").glob(f"*_{syntax}.dcm")
    image = pydicom.dcmread(path)
    names = ("Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated")
    fields = {name: image[name].value for name in names}
    fields |= {"BitsStored": image.BitsStored, "HighBit": image.HighBit}
    fields |= {"PixelRepresentation": image.PixelRepresentation}
    return image, fields, list(generate_frames(image.PixelData, number_of_frames=1))


def replace_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(code)
    monkeypatch.setattr(compressed, "PROGRAM", program)


@pytest.mark.parametrize("syntax", ["57", "70", "80", "90"])
def test_lossless_frames_are_the_pixels_that_were_compressed(
    real_data: Path, decoder: Decoder, syntax: str
) -> None:
    plain = pydicom.dcmread(real_data / "cornerstone" / "CTImage.dcm").pixel_array
    syntax = f"1.2.840.10008.1.2.4.{syntax}"
    _, fields, frames = example(real_data, syntax)
    pixels = decoder.decode(syntax, fields, frames * 3)
    np.testing.assert_array_equal(pixels, np.stack([plain] * 3))


@pytest.mark.parametrize(
    ("syntax", "most", "mean"),
    [("50", 65, 20), ("51", 36, 4), ("53", 36, 4), ("55", 36, 4), ("81", 1, 0.7), ("91", 5, 0.6)],
)
def test_lossy_images_are_near_and_say_so(
    real_data: Path, syntax: str, most: float, mean: float
) -> None:
    folder = real_data / "cornerstone"
    plain = read_volume(folder / "CTImage.dcm")
    (path,) = folder.glob(f"*_1.2.840.10008.1.2.4.{syntax}.dcm")
    volume = read_volume(path)
    off = np.abs(volume.array.astype(float) - plain.array)
    assert off.max() <= most
    assert off.mean() <= mean
    assert "compressed with loss" in " ".join(volume.provenance.warnings)
    assert ("32.1 HU apart" in " ".join(volume.provenance.warnings)) == (syntax == "50")
    assert "loss" not in " ".join(plain.provenance.warnings)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (DIES, "decoder crashed, SIGSEGV"),
        (HANGS, "took longer than 1 s"),
        (GREEDY, "MemoryError"),
        ("raise SystemExit(3)", "decoder crashed, exit 3"),
        (ANSWERS.replace("TYPE", "O"), "its decoder gives O"),
        (ANSWERS.replace("TYPE", "<i2"), r"holds \[9, 9, 9\] pixels"),
    ],
)
def test_a_decoder_that_fails_costs_one_image(
    real_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    decoder: Decoder,
    code: str,
    says: str,
) -> None:
    syntax = "1.2.840.10008.1.2.4.90"
    _, fields, frames = example(real_data, syntax)
    with monkeypatch.context() as patched:
        replace_program(tmp_path, patched, code)
        patched.setattr(compressed, "SECONDS", 1)
        patched.setattr(compressed, "SECONDS_A_MEGAPIXEL", 0)
        with pytest.raises(VolumeError, match=says):
            decoder.decode(syntax, fields, frames)
    assert decoder.decode(syntax, fields, frames).shape == (1, 512, 512)


def test_a_decoder_killed_from_outside_is_started_again(real_data: Path, decoder: Decoder) -> None:
    syntax = "1.2.840.10008.1.2.4.80"
    _, fields, frames = example(real_data, syntax)
    decoder.decode(syntax, fields, frames)
    assert decoder._process is not None
    first = decoder._process.pid
    os.kill(first, signal.SIGKILL)
    decoder._process.wait()
    decoder.decode(syntax, fields, frames)
    assert decoder._process.pid != first


def test_damaged_frames_cost_one_volume_and_leave_the_rest(real_data: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for syntax in ("50", "57", "70", "80", "90"):
        image, _, (frame,) = example(real_data, f"1.2.840.10008.1.2.4.{syntax}")
        spoilt = bytearray(frame)
        for place in rng.integers(len(frame) // 4, len(frame) - 64, 200):
            spoilt[place] = rng.integers(256)
        image.PixelData = pydicom.encaps.encapsulate([bytes(spoilt)])
        image.SeriesInstanceUID += f".{syntax}"
        image.save_as(tmp_path / f"{syntax}.dcm")
    for source in find_volumes(tmp_path).sources:
        with contextlib.suppress(VolumeError):  # what can be decoded is of the right shape
            assert read_source(source).array.shape == (512, 512, 1)


def test_the_decoder_ends_with_its_parent_however_that_ends(real_data: Path) -> None:
    path = next((real_data / "totalsegmentator" / "example_ct_dicom").iterdir())
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from medcyclegan.io import read_volume\n"
        "from medcyclegan.io.dicom import compressed\n"
        "read_volume(Path(sys.argv[1]))\n"
        "print(compressed._DECODERS[os.getpid()]._process.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    command = [sys.executable, "-c", code, str(path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    child = Path(f"/proc/{int(done.stdout)}")
    for _ in range(100):
        if not child.exists() or "Z" in (child / "stat").read_text().split()[2]:
            break
        time.sleep(0.1)
    else:
        pytest.fail("the decoder lives on")


def test_a_forked_process_has_a_decoder_of_its_own(real_data: Path) -> None:
    path = next((real_data / "totalsegmentator" / "example_ct_dicom").iterdir())
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from medcyclegan.io import read_volume\n"
        "from medcyclegan.io.dicom import compressed\n"
        "read_volume(Path(sys.argv[1]))\n"
        "parent, own = os.getpid(), os.fork() or os.getpid()\n"
        "read_volume(Path(sys.argv[1]))\n"
        "if own == os.getpid():\n"
        "    one, other = (decoder._process.pid for decoder in compressed._DECODERS.values())\n"
        "    assert one != other\n"
        "else:\n"
        "    assert os.waitpid(own, 0)[1] == 0\n"
        "    read_volume(Path(sys.argv[1]))\n"
        "    assert len(compressed._DECODERS) == 1\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)


def test_plain_images_need_no_decoder(real_data: Path) -> None:
    folder = real_data / "cornerstone"
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from medcyclegan.io import read_volume\n"
        "from medcyclegan.io.dicom import compressed\n"
        "for name in sys.argv[1:]: read_volume(Path(name))\n"
        "assert not compressed._DECODERS\n"
        "assert not {'torch', 'SimpleITK'} & set(sys.modules)\n"
    )
    names = [folder / "CTImage.dcm", *folder.glob("*1.2.5.dcm"), *folder.glob("*.99.dcm")]
    subprocess.run([sys.executable, "-c", code, *names], check=True)
