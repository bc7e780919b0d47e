"""The whole production topology on one machine, configured by deploy/, and its faults."""
