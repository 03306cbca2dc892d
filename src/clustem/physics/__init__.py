"""X-ray lines, energy losses, the direct beam, the detector."""
