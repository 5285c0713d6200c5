"""How many residual units the stages of this project's own networks have, as an option: `expression` and `speech`."""

from typing import Annotated

from pydantic import Field

Units = Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=3, max_length=3)]
"""Number of residual units of each of three stages."""
