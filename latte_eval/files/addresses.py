"""Names that a person copies from a web page, and what to type instead."""

from __future__ import annotations

import re

PAGE = re.compile(r"https?://(?:huggingface\.co|hf\.co)/([^/]+/[^/?#]+)(?:/(?:resolve|blob|raw)/([^/]+)/([^?#]+))?.*")
REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
DRIVE = re.compile(r"https?://(?:drive|docs)(?:\.usercontent)?\.google\.com/.*?(?:/d/|[?&]id=)([A-Za-z0-9_-]{10,}).*")
FILE = re.compile(r".*\.(pt|pth|bin|ckpt|safetensors)")

# Names of checkpoints that are brought here first.
FETCHED = ("hf://", "drive://")


def is_fetched(name: str) -> bool:
    """Whether a name is a checkpoint elsewhere: `hf://owner/repo/file`, or `drive://ID` of Google Drive."""
    return name.startswith(FETCHED)


def hub_advice(name: str) -> str:
    """What to type for a web address, or for a name that may be a repository of the hub; empty for any other name."""
    if drive := DRIVE.fullmatch(name):
        return f"type drive://{drive[1]}"
    if page := PAGE.fullmatch(name):
        repository, revision, file = page.groups()
        at = f"@{revision}" if revision not in (None, "main") else ""
        return f"type hf://{repository}/{file or 'FILE'}{at}"
    if "://" in name:
        typed = "files of the Hugging Face hub read hf://owner/repo/file[@revision], those of Google Drive drive://ID"
        return f"download it and give its path; {typed}"
    if REPOSITORY.fullmatch(name) and not FILE.fullmatch(name):
        return f"for a file of a repository of the Hugging Face hub type hf://{name}/FILE"
    return ""
