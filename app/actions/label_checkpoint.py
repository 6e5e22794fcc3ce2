"""Rename, tag and alias a checkpoint."""

import re
from collections.abc import Sequence

from app.access import LOCAL, Caller, require_owner
from app.errors import InvalidInput
from app.registry.checkpoints import find_checkpoint, owners_of_aliases, set_aliases, set_tags
from app.registry.database import Database, Session
from app.registry.tables import Checkpoint

LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,59}")
"""What a tag or alias may look like; it may not look like a checkpoint's id."""

MAX_LABELS = 50
"""Most tags, and most aliases, of one checkpoint."""


def label_checkpoint(
    database: Database,
    id_or_alias: str,
    *,
    tags: Sequence[str] | None = None,
    aliases: Sequence[str] | None = None,
    name: str | None = None,
    caller: Caller = LOCAL,
) -> Checkpoint:
    """Replace what is given and keep what is None; an alias that pointed elsewhere moves here.

    Raises NotFound, Forbidden (another key's checkpoint, or an alias that points to one), or InvalidInput for a label
    that cannot be one.
    """
    for kind, labels in (("tags", tags), ("aliases", aliases)):
        check_labels(kind, labels or ())
    with database.write() as session:
        checkpoint = find_checkpoint(session, id_or_alias)
        require_owner(caller, checkpoint.key_id, f"the checkpoint {checkpoint.id}")
        _require_aliases(session, caller, aliases or ())
        checkpoint.name = name if name is not None else checkpoint.name
        if tags is not None:
            set_tags(session, checkpoint.id, tags)
        if aliases is not None:
            set_aliases(session, checkpoint.id, aliases)
        return checkpoint


def _require_aliases(session: Session, caller: Caller, aliases: Sequence[str]) -> None:
    """An alias that moves away changes the checkpoint that it pointed to."""
    for alias, key_id in owners_of_aliases(session, aliases).items():
        require_owner(caller, key_id, f"the checkpoint that {alias!r} points to")


def check_labels(kind: str, labels: Sequence[str]) -> None:
    """Raise InvalidInput for a label that cannot be one, or too many of them."""
    if len(labels) > MAX_LABELS:
        raise InvalidInput(f"{len(labels)} {kind}", hint=f"at most {MAX_LABELS}", pointer=kind)
    for label in labels:
        if not LABEL.fullmatch(label) or label.startswith("checkpoint_"):
            hint = "1 to 60 letters, digits, '.', '_', ':' or '-', not beginning with checkpoint_"
            raise InvalidInput(f"{label!r} cannot be one of the {kind}", hint=hint, pointer=kind)
