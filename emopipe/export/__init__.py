"""Results for use elsewhere: bundles that predict by themselves, and the formats of other tools."""
