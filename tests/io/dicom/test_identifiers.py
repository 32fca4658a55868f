from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import Dataset

from medcyclegan.io import find_volumes, read_source
from medcyclegan.io.dicom.identifiers import direct_identifiers, identifying_words, names_someone


def header(**fields: str) -> Dataset:
    dataset = Dataset()
    for keyword, value in fields.items():
        setattr(dataset, keyword, value)
    return dataset


def test_fields_that_name_a_patient_are_named_in_a_fixed_order() -> None:
    telling = header(
        PatientBirthDate="19510203",
        PatientAddress="1 Main St",
        PatientID="4711",
        ReferringPhysicianName="Who^Doctor",
        PatientName="Doe^Jane",
        StudyDescription="Doe",
    )
    assert direct_identifiers([header(), telling, telling]) == (
        "PatientName",
        "ReferringPhysicianName",
        "PatientID",
        "PatientBirthDate",
        "PatientAddress",
    )
    assert direct_identifiers([]) == ()


@pytest.mark.parametrize(
    "name",
    [
        "",
        "^",
        "TCGA-17-Z011",
        "Anonymous^^^",
        "ANONYMIZED",
        "REMOVED",
        "case 7",
        "a",
        "X^7",
        "Test^A",
    ],
)
def test_pseudonyms_of_patients_are_no_names(name: str) -> None:
    assert direct_identifiers([header(PatientName=name, PatientID=name)]) == ()


@pytest.mark.parametrize("name", ["Doe^Jane", "Juno", "Müller^Ana", "山田^太郎", "Li^Na"])
def test_names_of_persons_are(name: str) -> None:
    found = direct_identifiers([header(PatientName=name, PatientIdentityRemoved="YES")])
    assert found == ("PatientName",)


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("PatientBirthDate", "19000101"),
        ("PatientBirthDate", "18000203"),
        ("PatientID", "0123456789abcdef"),
        ("PatientID", "anonymous"),
        ("PatientID", "1.2.826.0.1.3680043.8.498.1234567"),
    ],
)
def test_dummies_and_hashes_tell_nothing(keyword: str, value: str) -> None:
    assert direct_identifiers([header(**{keyword: value})]) == ()


def test_a_header_that_says_so_is_believed_but_for_names() -> None:
    claims = {"PatientID": "4711", "PatientBirthDate": "19510203"}
    assert direct_identifiers([header(**claims)]) == ("PatientID", "PatientBirthDate")
    assert direct_identifiers([header(**claims, PatientIdentityRemoved="YES")]) == ()


def test_a_number_beside_an_emptied_name_still_tells() -> None:
    assert direct_identifiers([header(PatientName="ANON", PatientID="4711")]) == ("PatientID",)
    twice = header(PatientName="Doe", PatientID="Doe")
    assert direct_identifiers([twice]) == ("PatientName", "PatientID")


def test_words_of_names_are_found_in_other_texts() -> None:
    words = identifying_words([header(PatientName="O'Neil^Jan^A", PatientID="AB-4711")])
    assert words == {"o'neil^jan^a", "neil", "jan", "ab-4711", "4711"}
    for text in ("liver JAN", "neils_tumour", "roi_4711b", "Jan-2"):
        assert names_someone(text, words), text
    for text in ("January", "liver", "471", ""):
        assert not names_someone(text, words), text
    assert not names_someone("anything", frozenset())


def test_emptied_names_are_no_words() -> None:
    assert identifying_words([header(PatientName="Anonymous^Patient", PatientID="")]) == set()


def test_real_headers(real_data: Path) -> None:
    for folder, expected in (
        ("tcga_luad_contrast", ()),
        ("covid_ny_sbu/A002304", ()),
        ("totalsegmentator/example_ct_dicom", ()),
        ("cornerstone/CTImage.dcm", ("PatientName", "PatientID")),
    ):
        source = find_volumes(real_data / folder).sources[0]
        assert direct_identifiers(read_source(source).provenance.headers) == expected, folder
