"""Inspections, answered with the service's dataclasses."""

from pathlib import Path

from app.client import kinds
from app.client.asynchronous import AsyncClient
from app.client.client import Client


class TypedInspection:
    """The part of `Caliper` that looks into files."""

    json: Client

    def inspect_checkpoint(self, file: Path) -> kinds.CheckpointReport:
        """What is in a checkpoint file, read by the service without running or storing it."""
        return kinds.read(kinds.CheckpointReport, self.json.inspect_checkpoint(file))

    def inspect_registered(self, id_or_alias: str) -> kinds.CheckpointReport:
        """What today's reader sees in a registered checkpoint; `report` of the checkpoint is what was seen first."""
        return kinds.read(kinds.CheckpointReport, self.json.inspect_registered(id_or_alias))


class AsyncTypedInspection:
    """The same part of `AsyncCaliper`."""

    json: AsyncClient

    async def inspect_checkpoint(self, file: Path) -> kinds.CheckpointReport:
        """What is in a checkpoint file, read by the service without running or storing it."""
        return kinds.read(kinds.CheckpointReport, await self.json.inspect_checkpoint(file))

    async def inspect_registered(self, id_or_alias: str) -> kinds.CheckpointReport:
        """What today's reader sees in a registered checkpoint; `report` of the checkpoint is what was seen first."""
        return kinds.read(kinds.CheckpointReport, await self.json.inspect_registered(id_or_alias))
