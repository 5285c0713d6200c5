"""What every page, bundle and export says about what emopipe may not be used for."""

NOTICE = (
    "A classifier names how a face looks and how a voice sounds; this is not how a person feels. Do not use it to "
    "judge people. The EU AI Act (Regulation (EU) 2024/1689), Article 5(1)(f), prohibits AI systems that infer "
    "emotions of people at work and in education, except for medical or safety reasons, since 2 February 2025."
)
"""One paragraph of plain text."""
