"""What have people said of a configuration? The tags that stand on its trials, and their notes."""

from dashboard import data
from dashboard.snapshot import Snapshot
from sweeper.store.notes import NOTE, standing

Said = dict[str, dict[int, list[str]]]  # by column and configuration


def said(now: Snapshot) -> Said:
    """No column of what nobody has said."""
    found: Said = {}
    records = data.reader().notes(now.sweep.id)
    texts = [("tags", trial, tag) for trial, tags in standing(records).items() for tag in tags]
    texts += [("notes", each.trial, each.text) for each in records if each.kind == NOTE]
    for column, trial, text in texts:
        if trial is not None and trial in now.trials:
            mine = found.setdefault(column, {}).setdefault(now.trials[trial].configuration, [])
            if text not in mine:
                mine.append(text)
    return found
