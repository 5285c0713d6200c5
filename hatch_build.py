"""Build step of the wheel: it carries the workflow's files, which lie at the top of the repository.

An editable install does not copy them: there the files of the checkout are used (see emopipe/workflow/launch.py).
"""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class WorkflowFiles(BuildHookInterface):
    """Puts the files listed in pyproject.toml into the package's folder `_workflow`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it builds; `version` is `standard` or `editable`."""
        if version == "standard":
            for name in self.config["workflow"]:
                build_data["force_include"][name] = f"emopipe/_workflow/{name}"
