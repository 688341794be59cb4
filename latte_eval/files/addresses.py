"""Names that a person copies from a web page, and what to type instead."""

from __future__ import annotations

import re

PAGE = re.compile(r"https?://(?:huggingface\.co|hf\.co)/([^/]+/[^/?#]+)(?:/(?:resolve|blob|raw)/([^/]+)/([^?#]+))?.*")
REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
FILE = re.compile(r".*\.(pt|pth|bin|ckpt|safetensors)")


def hub_advice(name: str) -> str:
    """What to type for a web address, or for a name that may be a repository of the hub; empty for any other name."""
    if page := PAGE.fullmatch(name):
        repository, revision, file = page.groups()
        at = f"@{revision}" if revision not in (None, "main") else ""
        return f"type hf://{repository}/{file or 'FILE'}{at}"
    if "://" in name:
        return "download it and give its path; files of the Hugging Face hub read hf://owner/repo/file[@revision]"
    if REPOSITORY.fullmatch(name) and not FILE.fullmatch(name):
        return f"for a file of a repository of the Hugging Face hub type hf://{name}/FILE"
    return ""
