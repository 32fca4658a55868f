"""All inputs that are no volume, and all odd ones that are, by name."""

from __future__ import annotations

from tests.hostile.bad_dicom import BAD_DICOM
from tests.hostile.bad_files import BAD_FILES
from tests.hostile.bad_itk import BAD_ITK
from tests.hostile.bad_nifti import BAD_NIFTI
from tests.hostile.good_dicom import GOOD_DICOM
from tests.hostile.good_files import GOOD_ITK, GOOD_NIFTI
from tests.hostile.made import Array, Make

INVALID: dict[str, tuple[Make, str]] = BAD_NIFTI | BAD_ITK | BAD_DICOM
INVALID |= {f"file: {name}": case for name, case in BAD_FILES.items()}
VALID: dict[str, tuple[Make, Array, Array]] = {
    **{f"nifti: {name}": case for name, case in GOOD_NIFTI.items()},
    **{f"itk: {name}": case for name, case in GOOD_ITK.items()},
    **{f"dicom: {name}": case for name, case in GOOD_DICOM.items()},
}
