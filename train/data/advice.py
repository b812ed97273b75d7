"""What to do about a file of data that cannot be read: it may be a download, or somebody's own."""

from __future__ import annotations

CORRECT_OR_FETCH = "correct it, or fetch it anew if it was downloaded"
CORRECT_OR_BUILD = "correct it, or build or fetch it anew if it was built or downloaded"
