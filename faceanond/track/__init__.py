"""Faces over time: what is between the detections and the anonymiser."""
