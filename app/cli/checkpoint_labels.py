"""`caliper checkpoints tag|alias|delete`: what a checkpoint is called, and forgetting it."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from app.cli import terminal
from app.cli.options import SERVICE, AsJson, CheckpointId, Url, Yes, confirm, connect
from app.cli.result import draw_checkpoints

Tags = Annotated[list[str] | None, typer.Argument(help="Words to put on it.", show_default=False)]
Aliases = Annotated[list[str] | None, typer.Argument(help="Names to point at it.", show_default=False)]
Remove = Annotated[
    list[str] | None, typer.Option("--remove", "-r", help="One to take away; may be repeated.")
]


def tag_command(
    checkpoint: CheckpointId,
    tags: Tags = None,
    *,
    remove: Remove = None,
    url: Url = SERVICE,
    as_json: AsJson = False,
) -> None:
    """Put words on a checkpoint, or take them away; without any, show the checkpoint.

    Examples:
      caliper checkpoints tag checkpoint_01k… baseline daily
      caliper checkpoints tag live --remove daily
    """
    _label(checkpoint, "tags", tags, remove, url=url, as_json=as_json)


def alias_command(
    checkpoint: CheckpointId,
    aliases: Aliases = None,
    *,
    remove: Remove = None,
    url: Url = SERVICE,
    as_json: AsJson = False,
) -> None:
    """Point names at a checkpoint, from where they pointed before, or take them away.

    An alias points at one checkpoint; every command and the API take it in place of the id.

    Examples:
      caliper checkpoints alias checkpoint_01k… live
      caliper checkpoints alias live --remove live
    """
    _label(checkpoint, "aliases", aliases, remove, url=url, as_json=as_json)


def delete_command(
    checkpoint: CheckpointId, *, yes: Yes = False, url: Url = SERVICE, as_json: AsJson = False
) -> None:
    """Forget a checkpoint and free its aliases; its bytes go once nothing else needs them.

    Example:
      caliper checkpoints delete checkpoint_01k… --yes
    """
    with connect(url) as client:
        row = client.checkpoint(checkpoint)
        confirm(f"delete {row['id']} ({row['name']})?", yes=yes)
        client.delete_checkpoint(row["id"])
    if as_json:
        terminal.print_json({"id": row["id"], "deleted": True})
    else:
        terminal.say(f"{row['id']}: deleted")


COMMANDS: dict[str, Callable[..., Any]] = {
    "tag": tag_command,
    "alias": alias_command,
    "delete": delete_command,
}
"""Commands of `caliper checkpoints`, by name."""


def _label(
    checkpoint: str,
    kind: str,
    add: Sequence[str] | None,
    remove: Sequence[str] | None,
    *,
    url: str,
    as_json: bool,
) -> None:
    """Change tags or aliases and show what came of it."""
    with connect(url) as client:
        row = client.checkpoint(checkpoint)
        before: list[str] = list(row["tags"] if kind == "tags" else row["aliases"])
        after = [word for word in dict.fromkeys([*before, *(add or ())]) if word not in (remove or ())]
        if after != before:
            tags, aliases = (after, None) if kind == "tags" else (None, after)
            row = client.label_checkpoint(row["id"], tags=tags, aliases=aliases)
    if as_json:
        terminal.print_json(row)
    else:
        terminal.show(draw_checkpoints([row]))
