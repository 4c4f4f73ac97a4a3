"""Faces over time: the tracker and the look-ahead will live here, between the detections and the anonymiser."""
