"""Which header fields say who the patient is, and whether they still do.

Standard: DICOM PS3.15, annex E (confidentiality profiles); PS3.3, C.7.1.1 (patient).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

PERSONS = (
    "PatientName",
    "OtherPatientNames",
    "PatientBirthName",
    "PatientMotherBirthName",
    "ResponsiblePerson",
    "ReferringPhysicianName",
    "ConsultingPhysicianName",
    "PhysiciansOfRecord",
    "PerformingPhysicianName",
    "NameOfPhysiciansReadingStudy",
    "RequestingPhysician",
    "OperatorsName",
)
NUMBERS = ("PatientID", "OtherPatientIDs", "PatientTelephoneNumbers")
OTHERS = ("PatientBirthDate", "PatientBirthTime", "PatientAddress", "MilitaryRank")
DIRECT = (*PERSONS, *NUMBERS, *OTHERS)
EMPTIED = re.compile(  # what people and programs write where a person's name was
    r"anon\w*|deid\w*|removed|redacted|unknown|none|nobody|noname|unnamed|hidden|blank|empty|"
    r"phantom|synthetic|patient(name)?|subject|test|xxx+|nil|null"
)
DUMMY_DATES = re.compile(r"0{4,8}|(1[0-8]\d\d|1900)\d*")  # nobody who has a CT was born then
LONG_HASH = re.compile(r"(?=.*[a-f])[0-9a-f-]{16,}|[0-9.]{25,}", re.IGNORECASE)
WORD = re.compile(r"[^\W_]+")
SHORTEST_WORD = 3  # of a name that is looked for in other texts
SHORTEST_PART = 4  # of a name that is looked for within words, too


def direct_identifiers(headers: Iterable[Any]) -> tuple[str, ...]:
    """Return the names of the fields that say who the patient or a physician is.

    A name that holds a digit, a word such as "anonymous", a date of birth before 1901, a long hash
    for an ID, and a PatientID equal to such a PatientName are pseudonyms. A header that claims
    PatientIdentityRemoved is believed but for names of persons.

    Args:
        headers: pydicom data sets, as in `Provenance.headers`.

    Returns:
        DICOM keywords, in the order of `DIRECT`; never a value.
    """
    seen = {
        (keyword, str(header.get(keyword) or ""), str(header.get("PatientName") or ""), removed)
        for header in headers
        for removed in [str(header.get("PatientIdentityRemoved") or "").strip().upper() == "YES"]
        for keyword in DIRECT
    }
    found = {
        keyword
        for keyword, value, name, removed in seen
        if (_is_person(value) if keyword in PERSONS else not removed and _tells(value, name))
    }
    return tuple(keyword for keyword in DIRECT if keyword in found)


def _is_person(value: str) -> bool:
    words = [word.lower() for word in WORD.findall(value)]
    named = any(len(word) > 1 for word in words)
    return named and not _is_emptied(words) and not re.search(r"\d", value)


def _is_emptied(words: list[str]) -> bool:
    return any(EMPTIED.fullmatch(word) for word in words)


def _tells(value: str, name: str) -> bool:
    """Return whether a number, date or address is a patient's own, given the PatientName."""
    words = [word.lower() for word in WORD.findall(value)]
    if not words or _is_emptied(words):
        return False
    stands_for_all = value == name and not _is_person(name)
    return not (stands_for_all or DUMMY_DATES.fullmatch(value) or LONG_HASH.fullmatch(value))


def identifying_words(headers: Iterable[Any]) -> frozenset[str]:
    """Return the words, in lower case, of which names, IDs and dates of birth are made.

    Pseudonyms are among them: what stood for a patient before shall not go on to stand for him.

    Args:
        headers: pydicom data sets, as in `Provenance.headers`.
    """
    keywords = (*DIRECT, "AccessionNumber", "StudyID")
    values = {str(header.get(keyword) or "") for header in headers for keyword in keywords}
    words: set[str] = set()
    for value in values:
        parts = [word.casefold() for word in WORD.findall(value)]
        telling = [word for word in parts if not EMPTIED.fullmatch(word)]
        words.update([value.casefold(), *telling] if telling else [])
    return frozenset(word for word in words if len(word) >= SHORTEST_WORD)


def names_someone(text: str, words: frozenset[str]) -> bool:
    """Return whether a text holds one of `identifying_words`, those of three letters by itself.

    >>> names_someone("liver_Doe", frozenset({"doe"})), names_someone("does", frozenset({"doe"}))
    (True, False)
    """
    lower = text.casefold()
    alone = {word.casefold() for word in WORD.findall(text)}
    return any(word in alone or (len(word) >= SHORTEST_PART and word in lower) for word in words)
