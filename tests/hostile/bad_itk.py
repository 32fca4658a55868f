"""MetaImage and NRRD files that are no CT volume, each with a word of what must be told."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.hostile.made import (
    CT,
    Make,
    add,
    ct,
    cut,
    drop,
    flip,
    metaimage,
    nrrd,
    plain_file,
)

HUGE = "4096 4096 4096"
LPS_SHEARED = "1 0 0 0.5 1 0 0 0 1"


def outside(make: Make) -> Make:
    """Return what writes a volume into a folder below, its voxels above it."""

    def write(folder: Path) -> Path:
        below = folder / "below"
        below.mkdir()
        path = make(below)
        (below / "ct.raw").rename(folder / "ct.raw")
        return path

    return write


def linked(make: Make) -> Make:
    """Return what writes a volume whose voxels are a link to a file in another folder."""

    def write(folder: Path) -> Path:
        path = outside(make)(folder)
        (path.parent / "ct.raw").symlink_to(folder / "ct.raw")
        return path

    return write


META: dict[str, tuple[Make, str]] = {
    "empty": (plain_file("ct.mha", b""), "empty"),
    "text": (plain_file("ct.mha", b"this is no volume\n" * 9), "MetaImage"),
    "binary": (plain_file("ct.mha", bytes(range(256)) * 8), "MetaImage"),
    "cut": (metaimage(spoil=cut(0.5)), "truncated"),
    "cut by one byte": (metaimage(spoil=drop(1)), "truncated"),
    "too long": (metaimage(spoil=add(bytes(40000))), "more than"),
    "packed cut": (metaimage(packed=True, spoil=cut(0.5)), "truncated|damaged"),
    "packed checksum": (metaimage(packed=True, spoil=flip(-1)), "damaged"),
    "packed content": (metaimage(packed=True, spoil=flip(300)), "damaged|truncated"),
    "packed then garbage": (
        metaimage(packed=True, spoil=add(b"x" * 4000)),
        "damaged|more|CompressedDataSize",
    ),
    "packed size lies": (
        metaimage(packed=True, fields={"CompressedDataSize": "20"}),
        "CompressedDataSize|damaged|truncated",
    ),
    "says packed": (metaimage(fields={"CompressedData": "True"}), "damaged|packed"),
    "says plain": (metaimage(packed=True, fields={"CompressedData": "False"}), "truncated|Comp"),
    "no end": (metaimage(fields={"ElementDataFile": None}), "ElementDataFile"),
    "no sizes": (metaimage(fields={"DimSize": None}), "DimSize|axes"),
    "128 GiB": (metaimage(fields={"DimSize": HUGE}), "voxels"),
    "2 GiB that are not there": (metaimage(fields={"DimSize": "1000 1000 1000"}), "truncated"),
    "size negative": (metaimage(fields={"DimSize": "14 -12 6"}), "shape|DimSize"),
    "size zero": (metaimage(fields={"DimSize": "0 12 6"}), "shape|DimSize"),
    "size text": (metaimage(fields={"DimSize": "14 twelve 6"}), "DimSize|read"),
    "size fraction": (metaimage(fields={"DimSize": "14 12.5 6"}), "DimSize|read"),
    "two sizes": (metaimage(fields={"DimSize": "14 72"}), "sizes|axes"),
    "axes that disagree": (metaimage(fields={"NDims": "4"}), "NDims|axes"),
    "axes text": (metaimage(fields={"NDims": "three"}), "NDims|read"),
    "four phases": (
        metaimage(
            array=ct((14, 12, 6, 4)),
            fields={
                "TransformMatrix": "1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1",
                "Offset": "0 0 0 0",
                "ElementSpacing": "1 1 1 1",
            },
        ),
        "split|axes",
    ),
    "type unknown": (metaimage(fields={"ElementType": "MET_BANANA"}), "type"),
    "type array": (metaimage(fields={"ElementType": "MET_SHORT_ARRAY"}), "type"),
    "no type": (metaimage(fields={"ElementType": None}), "type"),
    "colour": (metaimage(extra="ElementNumberOfChannels = 3\n"), "Channels"),
    "slope": (metaimage(extra="ElementToIntensityFunctionSlope = 2\n"), "Slope"),
    "slope text": (metaimage(extra="ElementToIntensityFunctionSlope = two\n"), "Slope|read"),
    "voxels as text": (metaimage(fields={"BinaryData": "False"}), "text"),
    "voxels above": (
        outside(metaimage("ct.mhd", raw="ct.raw", fields={"ElementDataFile": "../ct.raw"})),
        "outside|folder",
    ),
    "voxels elsewhere": (metaimage("ct.mhd", fields={"ElementDataFile": "/etc/passwd"}), "outside"),
    "voxels linked away": (linked(metaimage("ct.mhd")), "outside"),
    "voxels missing": (metaimage("ct.mhd", raw=""), "names|beside|none|folder"),
    "voxels cut": (metaimage("ct.mhd", spoil=cut(0.5)), "truncated"),
    "voxels too long": (metaimage("ct.mhd", spoil=add(bytes(40000))), "more than"),
    "voxels a list": (metaimage("ct.mhd", fields={"ElementDataFile": "LIST"}), "each slice|beside"),
    "voxels a pattern": (
        metaimage("ct.mhd", fields={"ElementDataFile": "ct%03d.raw 1 6 1"}),
        "each slice|beside",
    ),
    "voxels itself": (
        metaimage("ct.mhd", fields={"ElementDataFile": "ct.mhd"}),
        "trunc|itself|hold",
    ),
    "header size far": (metaimage("ct.mhd", extra="HeaderSize = 99999999\n"), "truncated"),
    "header size negative": (metaimage("ct.mhd", extra="HeaderSize = -7\n"), "HeaderSize|more"),
    "header size text": (metaimage("ct.mhd", extra="HeaderSize = long\n"), "HeaderSize|read"),
    "no spacing": (metaimage(fields={"ElementSpacing": None}), "ElementSpacing"),
    "spacing zero": (metaimage(fields={"ElementSpacing": "0.8 0 2.5"}), "pacing|voxel size"),
    "spacing negative": (metaimage(fields={"ElementSpacing": "0.8 -0.9 2.5"}), "pacing|voxel size"),
    "spacing not a number": (metaimage(fields={"ElementSpacing": "0.8 nan 2.5"}), "pacing|affine"),
    "spacing of two": (metaimage(fields={"ElementSpacing": "0.8 0.9"}), "pacing|damaged"),
    "spacing text": (metaimage(fields={"ElementSpacing": "thin thin thick"}), "pacing|voxel size"),
    "no matrix": (metaimage(fields={"TransformMatrix": None}), "TransformMatrix"),
    "matrix of zeros": (
        metaimage(fields={"TransformMatrix": " ".join("0" * 9)}),
        "irection|Matrix",
    ),
    "matrix sheared": (metaimage(fields={"TransformMatrix": LPS_SHEARED}), "shear|irection|Matrix"),
    "matrix scaled": (
        metaimage(fields={"TransformMatrix": "2 0 0 0 2 0 0 0 2"}),
        "irection|Matrix",
    ),
    "matrix not a number": (
        metaimage(fields={"TransformMatrix": "nan 0 0 0 1 0 0 0 1"}),
        "irection|Matrix|affine",
    ),
    "matrix of six": (
        metaimage(fields={"TransformMatrix": "1 0 0 0 1 0"}),
        "irection|Matrix|damag",
    ),
    "origin not a number": (metaimage(fields={"Offset": "nan 0 0"}), "affine|Offset|origin"),
    "two origins": (metaimage(extra="Position = 0 0 0\n"), "Position|Offset|twice"),
    "two matrices": (
        metaimage(extra="Orientation = 1 0 0 0 1 0 0 0 -1\n"),
        "Orientation|twice|another",
    ),
    "says sizes twice": (metaimage(extra="DimSize = 6 12 14\n"), "twice"),
    "byte order twice": (metaimage(extra="ElementByteOrderMSB = True\n"), "yteOrder|twice"),
    "not a number": (metaimage(array=np.full(CT.shape, np.nan, np.float32)), "finite"),
    "offset 1024": (metaimage(array=(CT.astype(int) + 1024).clip(0).astype(np.uint16)), "1024"),
    "header without end": (plain_file("ct.mha", b"ObjectType = Image\n" * 9000), "twice|Element"),
    "line without end": (plain_file("ct.mha", b"Comment = " + b"x" * 200000), "ElementDataFile"),
}

NRRD: dict[str, tuple[Make, str]] = {
    "empty": (plain_file("ct.nrrd", b""), "empty"),
    "text": (plain_file("ct.nrrd", b"this is no volume\n" * 9), "NRRD"),
    "magic": (nrrd(magic="NRRD"), "NRRD"),
    "future": (nrrd(magic="NRRD0009"), "NRRD"),
    "no end of header": (plain_file("ct.nrrd", b"NRRD0004\ntype: short\n"), "does not end|sizes"),
    "cut": (nrrd(spoil=cut(0.5)), "truncated"),
    "too long": (nrrd(spoil=add(bytes(40000))), "more than"),
    "packed cut": (nrrd(packed=True, spoil=cut(0.5)), "truncated|damaged"),
    "packed crc": (nrrd(packed=True, spoil=flip(-6)), "damaged"),
    "packed content": (nrrd(packed=True, spoil=flip(300)), "damaged|truncated"),
    "packed too long": (
        nrrd(array=ct((14, 12, 7)), packed=True, fields={"sizes": "14 12 6"}),
        "more",
    ),
    "says packed": (nrrd(fields={"encoding": "gzip"}), "damaged"),
    "encoding text": (nrrd(fields={"encoding": "ascii"}), "encoding"),
    "encoding hex": (nrrd(fields={"encoding": "hex"}), "encoding"),
    "encoding bzip2": (nrrd(fields={"encoding": "bzip2"}), "encoding"),
    "encoding none": (nrrd(fields={"encoding": None}), "encoding"),
    "no endian": (nrrd(fields={"endian": None}), "endian"),
    "endian unknown": (nrrd(fields={"endian": "middle"}), "endian|damaged"),
    "type unknown": (nrrd(fields={"type": "banana"}), "type"),
    "type block": (nrrd(fields={"type": "block"}), "type"),
    "no type": (nrrd(fields={"type": None}), "type"),
    "no sizes": (nrrd(fields={"sizes": None}), "sizes|axes"),
    "128 GiB": (nrrd(fields={"sizes": HUGE}), "voxels"),
    "sizes negative": (nrrd(fields={"sizes": "14 -12 6"}), "shape|sizes"),
    "sizes text": (nrrd(fields={"sizes": "a b c"}), "sizes|read"),
    "dimension disagrees": (nrrd(fields={"dimension": "2"}), "dimension|axes|damaged"),
    "colour": (
        nrrd(
            array=ct((3, 14, 12, 6)),
            fields={
                "kinds": "RGB-color domain domain domain",
                "space directions": "none (0.8,0,0) (0,0.9,0) (0,0,2.5)",
            },
        ),
        "axes|colour|kind|RGB",
    ),
    "vector": (nrrd(fields={"kinds": "3-vector domain domain"}), "kind|vector"),
    "a direction of none": (
        nrrd(fields={"space directions": "none (0,0.9,0) (0,0,2.5)"}),
        "direct",
    ),
    "two directions": (nrrd(fields={"space directions": "(0.8,0,0) (0,0.9,0)"}), "direct"),
    "directions text": (nrrd(fields={"space directions": "(a,b,c) (0,1,0) (0,0,1)"}), "direct"),
    "directions not a number": (
        nrrd(fields={"space directions": "(nan,0,0) (0,1,0) (0,0,1)"}),
        "direct|affine",
    ),
    "directions zero": (
        nrrd(fields={"space directions": "(0,0,0) (0,1,0) (0,0,1)"}),
        "direct|size",
    ),
    "directions sheared": (
        nrrd(fields={"space directions": "(1,0,0) (.5,1,0) (0,0,1)"}),
        "direct|shear",
    ),
    "directions parallel": (
        nrrd(fields={"space directions": "(1,0,0) (1,0,0) (0,0,1)"}),
        "direct|shear",
    ),
    "no directions": (nrrd(fields={"space directions": None}), "direct"),
    "no origin": (nrrd(fields={"space origin": None}), "origin"),
    "origin not a number": (nrrd(fields={"space origin": "(nan,0,0)"}), "origin|affine"),
    "origin of two": (nrrd(fields={"space origin": "(0,0)"}), "origin"),
    "no space": (nrrd(fields={"space": None}), "space"),
    "space of a scanner": (nrrd(fields={"space": "scanner-xyz"}), "space"),
    "space with time": (nrrd(fields={"space": "left-posterior-superior-time"}), "space"),
    "units": (nrrd(extra='space units: "um" "um" "um"\n'), "unit|in um"),
    "measurement frame": (nrrd(extra="sample units: banana\nsizes: 6 12 14\n"), "twice"),
    "line skip": (nrrd(extra="line skip: 2\n"), "skip"),
    "byte skip": (nrrd(extra="byte skip: 5\n"), "skip"),
    "voxels above": (outside(nrrd("ct.nhdr", fields={"data file": "../ct.raw"})), "outside"),
    "voxels elsewhere": (nrrd("ct.nhdr", fields={"data file": "/etc/passwd"}), "outside"),
    "voxels linked away": (linked(nrrd("ct.nhdr")), "outside"),
    "voxels missing": (nrrd("ct.nhdr", raw="", fields={"data file": "ct.raw"}), "beside"),
    "voxels cut": (nrrd("ct.nhdr", spoil=cut(0.5)), "truncated"),
    "voxels a list": (nrrd("ct.nhdr", fields={"data file": "LIST"}), "each slice|beside"),
    "voxels a pattern": (
        nrrd("ct.nhdr", fields={"data file": "ct%03d.raw 1 6 1"}),
        "each slice|beside",
    ),
    "voxels itself": (nrrd("ct.nhdr", fields={"data file": "ct.nhdr"}), "truncated|itself"),
    "not a number": (nrrd(array=np.full(CT.shape, np.inf, np.float32)), "finite"),
    "line without end": (plain_file("ct.nrrd", b"NRRD0004\n# " + b"x" * 200000), "does not end"),
}

BAD_ITK = {f"metaimage: {name}": case for name, case in META.items()}
BAD_ITK |= {f"nrrd: {name}": case for name, case in NRRD.items()}
