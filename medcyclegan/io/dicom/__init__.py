"""DICOM: files of any kind to CT volumes and label maps, and volumes to CT series."""
