"""Reads a file shared in the thread: text, Markdown, CSV or PDF."""

import asyncio
import codecs
import io
from collections.abc import Sequence
from pathlib import PurePosixPath

from pydantic import BaseModel, Field

from agents.ports import FileRef, ToolContext
from agents.tools.base import Tool, ToolFailed, checked, schema_of
from agents.tools.tables import describe, read_table
from database.errors import VirtuousError

MAX_BYTES = 10_000_000
CHARACTERS_A_PAGE = 4000
_SECONDS_TO_READ = 20.0
_READABLE = "text, Markdown, CSV and PDF files"
_TABLES = {".csv", ".tsv"}
_TEXTS = {
    ".txt", ".md", ".markdown", ".rst", ".log", ".json", ".jsonl", ".yaml", ".yml", ".toml", ".ini",
    ".html", ".xml", ".py", ".js", ".ts", ".java", ".go", ".rs", ".c", ".h", ".cpp", ".sh", ".sql",
}  # fmt: skip
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


class FileToRead(BaseModel):
    """Which file, which part."""

    name: str = Field(default="", max_length=300, description="File name; empty if there is one")
    page: int = Field(default=1, ge=1, description="Page of the file, from 1")


async def _run(arguments: FileToRead, context: ToolContext) -> str:
    chosen = _chosen(arguments.name.strip(), context.files.files())
    kind = _kind(chosen)
    if chosen.size > MAX_BYTES:
        raise _too_large(chosen.name, chosen.size)
    try:
        raw = await context.files.read(chosen.file_id)
    except VirtuousError as error:
        raise ToolFailed(f"'{chosen.name}' could not be fetched: {error}") from None
    if len(raw) > MAX_BYTES:
        raise _too_large(chosen.name, len(raw))
    try:
        async with asyncio.timeout(_SECONDS_TO_READ):
            # Parsing holds the processor: in a thread the other conversations go on.
            text = await asyncio.to_thread(read_part, raw, kind, chosen.name, arguments.page)
    except TimeoutError:
        raise ToolFailed(f"'{chosen.name}' takes too long to read. Ask for a simpler one") from None
    return f"{chosen.name}:\n{text}"


def read_part(raw: bytes, kind: str, name: str, page: int) -> str:
    """Page `page` (from 1) of a file of kind `text`, `table` or `pdf`. Raises ToolFailed."""
    if kind == "pdf":
        return _pdf(raw, name, page)
    text = decode(raw, name)
    if kind == "table":
        return describe(read_table(text, name), page, name)
    pages = max(1, -(-len(text) // CHARACTERS_A_PAGE))
    if page > pages:
        raise ToolFailed(f"'{name}' has {pages} pages; ask for 1 to {pages}")
    part = text[(page - 1) * CHARACTERS_A_PAGE : page * CHARACTERS_A_PAGE]
    return f"(page {page} of {pages})\n{part}" if pages > 1 else part


def decode(raw: bytes, name: str) -> str:
    """The text in UTF-8, UTF-16 with its mark, or Windows' western encoding. Raises ToolFailed."""
    for mark, encoding in _MARKS.items():
        if raw.startswith(mark):
            return raw.decode(encoding, errors="replace")
    if b"\x00" in raw:
        raise ToolFailed(
            f"'{name}' is not text, whatever its name says. Only {_READABLE} can be read"
        )
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace")


def _chosen(name: str, files: Sequence[FileRef]) -> FileRef:
    if not files:
        raise ToolFailed("No file was shared in this thread. Ask the person to share it here")
    named = [file for file in files if name in (file.name, file.file_id)]
    alike = named or [file for file in files if name and name.lower() in file.name.lower()]
    if not name and len(files) == 1:
        return files[0]
    if named or len(alike) == 1:
        return alike[-1]
    names = ", ".join(file.name for file in files)
    problem = f"There is no file '{name}' in this thread" if name else "Several files are here"
    raise ToolFailed(f"{problem}. Give one of these names: {names}")


def _kind(file: FileRef) -> str:
    suffix = PurePosixPath(file.name).suffix.lower()
    if suffix == ".pdf" or file.mimetype == "application/pdf":
        return "pdf"
    if suffix in _TABLES or file.mimetype in ("text/csv", "text/tab-separated-values"):
        return "table"
    if suffix in _TEXTS or file.mimetype.startswith("text/"):
        return "text"
    raise ToolFailed(
        f"'{file.name}' ({file.mimetype}) cannot be read, only {_READABLE}. "
        "Ask the person to share it as one of these"
    )


def _too_large(name: str, size: int) -> ToolFailed:
    return ToolFailed(
        f"'{name}' has {size / 1e6:.1f} MB, at most {MAX_BYTES / 1e6:.0f} MB can be read. "
        "Ask for a smaller part of it"
    )


def _pdf(raw: bytes, name: str, page: int) -> str:
    # pypdf costs about 0.2 s to import, and most conversations share no PDF.
    from pypdf import PdfReader  # noqa: PLC0415
    from pypdf.errors import PyPdfError  # noqa: PLC0415

    try:
        reader = PdfReader(io.BytesIO(raw))
        if reader.is_encrypted and not reader.decrypt(""):
            raise ToolFailed(f"'{name}' needs a password. Ask for a copy without one")
        pages = len(reader.pages)
        if page > pages:
            raise ToolFailed(f"'{name}' has {pages} pages; ask for 1 to {pages}")
        text = reader.pages[page - 1].extract_text().strip()
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        # A damaged file makes pypdf fail with whatever its structure lacks.
        raise ToolFailed(f"'{name}' is damaged or no PDF ({error}). Ask for another copy") from None
    if not text:
        text = "(no text on this page: perhaps a scanned picture)"
    return f"(page {page} of {pages})\n{text}"


READ_FILE = Tool(
    name="read_file",
    description="Reads a file that was shared in this thread: text, Markdown, CSV or PDF.",
    parameters=schema_of(FileToRead),
    effect="read",
    title="Reading the file",
    call=checked(FileToRead, _run),
    subject="name",
    examples=(
        "What does the attached report say?",
        "Sum up the columns of the CSV I uploaded.",
    ),
    known="report.pdf: Sales rose by 4% in May.",
    offered=lambda context: bool(context.files.files()),
)
