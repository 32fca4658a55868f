from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medcyclegan.errors import IntensityError, VolumeError
from medcyclegan.io import find_volumes, read_volume, write_volume

Array = npt.NDArray[Any]
AFFINE = np.array([[-0.7, 0, 0, 90], [0, -0.8, 0, 30], [0, 0, 2.5, -12], [0, 0, 0, 1.0]])


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    order=st.permutations(range(6)),
    turn=st.tuples(*[st.floats(-1, 1)] * 4),
    slope=st.sampled_from([1.0, 0.5, 2.0]),
    seed=st.integers(0, 5),
)
def test_a_shuffled_series_is_the_same_volume_as_its_nifti(
    make_ct: Callable[..., Array],
    write_series: Callable[..., list[Path]],
    order: list[int],
    turn: tuple[float, float, float, float],
    slope: float,
    seed: int,
) -> None:
    from nibabel.quaternions import quat2mat

    quaternion = np.array(turn) if np.linalg.norm(turn) > 0.1 else np.array([1.0, 0, 0, 0])
    affine = AFFINE.copy()
    affine[:3, :3] = quat2mat(quaternion / np.linalg.norm(quaternion)) @ AFFINE[:3, :3]
    array = make_ct(seed=seed) // 2 * 2
    with tempfile.TemporaryDirectory() as folder:
        write_series(Path(folder) / "series", array, affine, order=list(order), slope=slope)
        volume = read_volume(Path(folder) / "series")
        write_volume(volume, Path(folder) / "ct.nii.gz")
        again = read_volume(Path(folder) / "ct.nii.gz")
    for one in (volume, again):
        np.testing.assert_array_equal(one.array, array)
        np.testing.assert_allclose(one.affine, affine, atol=1e-4)
    assert volume.array.dtype == (np.float32 if slope == 0.5 else np.int16)


def test_patient_is_a_hash_and_tags_speak_of_contrast(
    tmp_path: Path, make_ct: Callable[..., Array], write_series: Callable[..., list[Path]]
) -> None:
    write_series(tmp_path / "s", make_ct(), AFFINE)
    provenance = read_volume(tmp_path / "s").provenance
    assert provenance.tags == {"SeriesDescription": "ABD PORTAL"}
    assert len(provenance.patient) == 16
    assert "PLANTED" not in repr(provenance)


def test_slices_may_differ_in_slope_and_intercept(
    tmp_path: Path, make_ct: Callable[..., Array], write_series: Callable[..., list[Path]]
) -> None:
    def change(dataset: Any, k: int) -> None:
        if k == 3:
            raw = np.frombuffer(dataset.PixelData, "<u2").astype(int)
            dataset.PixelData = (raw + 500).astype("<u2").tobytes()
            dataset.RescaleIntercept = -1524

    write_series(tmp_path / "s", make_ct(), AFFINE, change=change)
    np.testing.assert_array_equal(read_volume(tmp_path / "s").array, make_ct())


def test_a_slice_rescaled_wrongly_among_others_is_refused_by_name(
    tmp_path: Path, make_ct: Callable[..., Array], write_series: Callable[..., list[Path]]
) -> None:
    def change(dataset: Any, k: int) -> None:
        if k == 3:
            dataset.RescaleIntercept = 0

    paths = write_series(tmp_path / "s", make_ct(), AFFINE, change=change)
    with pytest.raises(IntensityError, match=f"{re.escape(str(paths[3]))}: .*not HU"):
        read_volume(tmp_path / "s")


def test_monochrome1_changes_nothing(
    tmp_path: Path, make_ct: Callable[..., Array], write_series: Callable[..., list[Path]]
) -> None:
    def change(dataset: Any, k: int) -> None:
        dataset.PhotometricInterpretation = "MONOCHROME1"

    write_series(tmp_path / "s", make_ct(), AFFINE, change=change)
    np.testing.assert_array_equal(read_volume(tmp_path / "s").array, make_ct())


def test_padding_that_looks_like_tissue_becomes_air_but_only_at_the_edge(
    tmp_path: Path, make_ct: Callable[..., Array], write_series: Callable[..., list[Path]]
) -> None:
    array = make_ct()
    array[:2, :, :] = 3000
    array[7, 6, 0] = 3000  # metal of the same value inside the body

    def change(dataset: Any, k: int) -> None:
        dataset.add_new("PixelPaddingValue", "US", 4024)

    write_series(tmp_path / "s", array, AFFINE, change=change)
    volume = read_volume(tmp_path / "s")
    assert (volume.array[:2] == -1024).all()
    np.testing.assert_array_equal(volume.array[2:], array[2:])


def test_padding_written_unsigned_for_signed_pixels_is_understood(
    tmp_path: Path, make_ct: Callable[..., Array], write_series: Callable[..., list[Path]]
) -> None:
    array = make_ct()

    def change(dataset: Any, k: int) -> None:
        raw = array[:, :, k].T.astype("<i2").copy()
        raw[0] = -600
        dataset.PixelData = raw.tobytes()
        dataset.PixelRepresentation, dataset.RescaleIntercept = 1, 0
        dataset.add_new("PixelPaddingValue", "US", 65536 - 600)

    write_series(tmp_path / "s", array, AFFINE, change=change)
    volume = read_volume(tmp_path / "s")
    assert (volume.array[:, 0] == -1024).all()
    np.testing.assert_array_equal(volume.array[:, 1:], array[:, 1:])


def without_meta(path: Path) -> bytes:
    """The data set alone, as old exports hold it: no preamble, no file meta information."""
    data = path.read_bytes()
    return data[144 + int.from_bytes(data[140:144], "little") :]


def test_a_bare_data_set_without_suffix_or_class_is_read(
    tmp_path: Path, make_ct: Callable[..., Array], write_series: Callable[..., list[Path]]
) -> None:
    def change(dataset: Any, k: int) -> None:
        dataset.SOPClassUID = ""

    for path in write_series(tmp_path / "s", make_ct(), AFFINE, change=change):
        path.with_suffix("").write_bytes(without_meta(path))
        path.unlink()
    np.testing.assert_array_equal(read_volume(tmp_path / "s").array, make_ct())


def test_one_slice_is_as_thick_as_its_file_says(
    tmp_path: Path, make_ct: Callable[..., Array], write_series: Callable[..., list[Path]]
) -> None:
    paths = write_series(tmp_path / "s", make_ct(), AFFINE)
    volume = read_volume(paths[2])
    np.testing.assert_array_equal(volume.array, make_ct()[:, :, 2:3])
    np.testing.assert_allclose(volume.spacing_mm, (0.7, 0.8, 2.5))
    assert volume.affine[2, 3] == pytest.approx(-12 + 2 * 2.5)
    assert not volume.provenance.warnings

    def change(dataset: Any, k: int) -> None:
        del dataset.SliceThickness

    paths = write_series(tmp_path / "t", make_ct(), AFFINE, change=change)
    volume = read_volume(paths[2])
    assert volume.spacing_mm[2] == 1
    assert "1 mm assumed" in volume.provenance.warnings[0]


def _set(name: str, value: Any) -> Callable[[Any], None]:
    return lambda dataset: setattr(dataset, name, value)


def _delete(name: str) -> Callable[[Any], None]:
    return lambda dataset: delattr(dataset, name)


def _halve(dataset: Any) -> None:
    dataset.PixelData = dataset.PixelData[: len(dataset.PixelData) // 4 * 2]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_delete("ImagePositionPatient"), "ImagePositionPatient"),
        (_delete("ImageOrientationPatient"), "ImageOrientationPatient"),
        (_delete("PixelSpacing"), "PixelSpacing"),
        (_set("PixelSpacing", [0, 0.7]), "pixel spacing 0"),
        (_set("ImageOrientationPatient", [1, 0, 0, 1, 0, 0]), "right angles"),
        (_set("ImageOrientationPatient", [2, 0, 0, 0, 1, 0]), "length 1"),
        (_set("NumberOfFrames", 3), "holds 3 frames and does not say where"),
        (_set("SamplesPerPixel", 3), "colour"),
        (_set("Rows", 9999), "declares 9999"),
        (_set("Rows", 0), "declares 0"),
        (_set("Rows", 500), "truncated: 336 bytes of 14000"),
        (_set("RescaleSlope", 0), "RescaleSlope 0"),
        (_set("RescaleType", "MGML"), "MGML, not HU"),
        (_delete("RescaleIntercept"), "1024"),
        (_delete("PixelData"), "missing or truncated"),
        (_halve, "truncated: 168 bytes of 336"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom doubts what is spoilt on purpose
def test_a_bad_slice_alone_is_refused_with_its_name(
    tmp_path: Path,
    make_ct: Callable[..., Array],
    write_series: Callable[..., list[Path]],
    spoil: Callable[[Any], None],
    says: str,
) -> None:
    def change(dataset: Any, k: int) -> None:
        spoil(dataset)

    paths = write_series(tmp_path / "s", make_ct(), AFFINE, change=change)
    with pytest.raises(VolumeError, match=says) as caught:
        read_volume(paths[2])
    assert str(caught.value).startswith(f"{paths[2]}: ")


def test_a_bad_slice_condemns_its_series_and_no_other(
    tmp_path: Path, make_ct: Callable[..., Array], write_series: Callable[..., list[Path]]
) -> None:
    write_series(tmp_path / "good", make_ct(), AFFINE)
    cut = write_series(tmp_path / "cut", make_ct(), AFFINE)[5]
    cut.write_bytes(cut.read_bytes()[:-50])

    def change(dataset: Any, k: int) -> None:
        if k == 5:  # an end of the stack: without it the rest would look whole
            del dataset.ImagePositionPatient

    write_series(tmp_path / "lost", make_ct(), AFFINE, change=change)
    found = find_volumes(tmp_path)
    assert [path.name for path, _ in found.refused] == ["lost"]
    where = tmp_path / "lost" / "IM0005.dcm"
    assert found.refused[0][1].startswith(f"{where} has no valid ImagePositionPatient")
    assert [source.stem for source in found.sources] == ["cut", "good"]
    read_volume(tmp_path / "good")
    with pytest.raises(VolumeError) as caught:
        read_volume(tmp_path / "cut")
    assert str(caught.value).startswith(f"{cut}: its pixel data")


def test_all_lossless_transfer_syntaxes_give_the_same_voxels(real_data: Path) -> None:
    folder = real_data / "cornerstone"
    plain = read_volume(folder / "CTImage.dcm")
    assert (plain.array.min(), plain.array.max()) == (-3024, 1378)
    for name in (
        "BigEndianExplicitTransferSyntax_1.2.840.10008.1.2.2",
        "DeflatedExplicitVRLittleEndianTransferSyntax_1.2.840.10008.1.2.1.99",
        "JPEG2000LosslessOnlyTransferSyntax_1.2.840.10008.1.2.4.90",
        "JPEGLSLosslessTransferSyntax_1.2.840.10008.1.2.4.80",
        "JPEGProcess14SV1TransferSyntax_1.2.840.10008.1.2.4.70",
        "JPEGProcess14TransferSyntax_1.2.840.10008.1.2.4.57",
        "LittleEndianExplicitTransferSyntax_1.2.840.10008.1.2.1",
        "LittleEndianImplicitTransferSyntax_1.2.840.10008.1.2",
        "RLELosslessTransferSyntax_1.2.840.10008.1.2.5",
    ):
        volume = read_volume(folder / f"CTImage.dcm_{name}.dcm")
        np.testing.assert_array_equal(volume.array, plain.array)


def test_a_compressed_image_cut_inside_its_stream_is_refused(
    real_data: Path, tmp_path: Path
) -> None:
    source = next((real_data / "totalsegmentator" / "example_ct_dicom").iterdir())
    dataset = pydicom.dcmread(source)
    frame = next(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1))
    dataset.PixelData = pydicom.encaps.encapsulate([frame[: len(frame) // 2]])
    dataset.save_as(tmp_path / "cut.dcm")
    with pytest.raises(VolumeError, match="truncated"):
        read_volume(tmp_path / "cut.dcm")


def test_a_series_agrees_with_other_readers(real_data: Path) -> None:
    import SimpleITK

    folder = real_data / "totalsegmentator" / "example_ct_dicom"
    volume = read_volume(folder)
    slices = [SimpleITK.ReadImage(str(path)) for path in sorted(folder.iterdir())]
    slices.sort(key=lambda image: image.GetOrigin()[2])
    theirs = np.concatenate([SimpleITK.GetArrayFromImage(image) for image in slices])
    np.testing.assert_array_equal(volume.array, theirs.transpose(2, 1, 0))
    origin = np.array(slices[0].GetOrigin()) * (-1, -1, 1)
    np.testing.assert_allclose(volume.affine[:3, 3], origin, atol=1e-4)


def test_real_series(real_data: Path) -> None:
    volume = read_volume(real_data / "totalsegmentator" / "example_ct_dicom")
    assert volume.array.shape == (512, 512, 20)
    assert volume.orientation == "LPS"
    np.testing.assert_allclose(volume.spacing_mm, (0.9765625, 0.9765625, 2.0))
    with pytest.raises(IntensityError, match="1024"):
        read_volume(real_data / "derived_bad" / "dicom_no_rescale")
    with pytest.raises(VolumeError, match=r"trunc\.dcm: its pixel data"):
        read_volume(real_data / "derived_bad" / "dicom_truncated_file")
