"""One camera: joins capture, detection, anonymising and publishing, and keeps the figures."""
