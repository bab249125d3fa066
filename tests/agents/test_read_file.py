import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.tools.base import ToolFailed
from agents.tools.read_file import CHARACTERS_A_PAGE, MAX_BYTES, READ_FILE, decode
from agents.tools.tables import ROWS_A_PAGE, number_of
from tests.agents.doubles import Folder, context
from tests.pdf_file import pdf


async def read(folder: Folder, name: str = "", page: int = 1) -> str:
    return await READ_FILE.call({"name": name, "page": page}, context(files=folder))


SALES = b'month,region,sales\nJan,north,"1,200.50"\nFeb,south,$300\nMar,north,\nApr,south,-0.50\n'


async def test_the_only_file_needs_no_name() -> None:
    assert await read(Folder({"notes.md": b"# Plan\nShip it."})) == "notes.md:\n# Plan\nShip it."


@pytest.mark.parametrize("name", ["b.txt", "F1", "B.TXT", "b"])
async def test_a_file_is_found_by_name_id_or_part(name: str) -> None:
    assert await read(Folder({"a.txt": b"first", "b.txt": b"second"}), name) == "b.txt:\nsecond"


async def test_of_two_files_with_one_name_the_newest_is_read() -> None:
    class Twice(Folder):
        def files(self) -> list[object]:  # type: ignore[override]
            return [*super().files(), *Folder({"x": b"", "a.txt": b""}).files()[1:]]

    folder = Twice({"a.txt": b"old", "z.txt": b"other"})
    await read(folder, "a.txt")
    assert folder.reads == ["F1"]


@pytest.mark.parametrize(
    "raw",
    ["Größe: 3 €".encode(), "Größe: 3 €".encode("utf-8-sig"), "Größe: 3 €".encode("utf-16")],
)
async def test_encodings_are_recognised(raw: bytes) -> None:
    assert await read(Folder({"a.txt": raw})) == "a.txt:\nGröße: 3 €"


def test_old_windows_text_is_read() -> None:
    assert decode("Größe: 3 €".encode("cp1252"), "a.txt") == "Größe: 3 €"


async def test_long_text_comes_in_pages() -> None:
    text = "".join(f"{at:07}\n" for at in range(1000))
    folder = Folder({"a.txt": text.encode()})
    pages = [await read(folder, page=page) for page in (1, 2)]
    assert pages[0].startswith("a.txt:\n(page 1 of 2)\n0000000")
    assert "".join(page.split(")\n", 1)[1] for page in pages) == text
    assert len(pages[0]) < CHARACTERS_A_PAGE + 100
    with pytest.raises(ToolFailed, match="has 2 pages; ask for 1 to 2"):
        await read(folder, page=3)


async def test_a_table_is_summed_up_over_all_its_rows() -> None:
    text = await read(Folder({"sales.csv": SALES}))
    assert "4 rows, 3 columns." in text
    assert "- sales: sum 1500.00, mean 500, min -0.50, max 1200.50, 3 numbers, 1 empty" in text
    assert "- region: text: north (2), south (2)" in text
    assert "Feb | south | $300" in text


async def test_a_long_table_shows_a_window_but_sums_everything() -> None:
    lines = ["n;price"] + [f"{at};1,5" for at in range(100)]
    folder = Folder({"t.csv": "\n".join(lines).encode()})
    first, second = await read(folder), await read(folder, page=2)
    assert "- n: sum 4950, mean 49.5, min 0, max 99, 100 numbers" in first
    assert "- price: sum 150.0, mean 1.5" in first
    assert f"\n{ROWS_A_PAGE - 1} | 1,5" in first
    assert f"\n{ROWS_A_PAGE} | 1,5" not in first
    assert f"Rows {ROWS_A_PAGE + 1} to {2 * ROWS_A_PAGE} (page 2 of 3)" in second
    assert "sum" not in second


async def test_uneven_rows_and_missing_titles_are_borne() -> None:
    text = await read(Folder({"t.tsv": b"a\t\n1\t2\t3\n4\n"}))
    assert "2 rows, 3 columns." in text
    assert "- column 2: sum 2, mean 2, min 2, max 2, 1 numbers, 1 empty" in text


async def test_a_pdf_is_read_page_by_page() -> None:
    folder = Folder({"report.pdf": pdf("Total 42", "The end")})
    assert await read(folder) == "report.pdf:\n(page 1 of 2)\nTotal 42"
    assert "The end" in await read(folder, page=2)
    with pytest.raises(ToolFailed, match="has 2 pages"):
        await read(folder, page=3)


async def test_a_page_without_text_is_told() -> None:
    assert "no text on this page" in await read(Folder({"scan.pdf": pdf("")}))


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "damaged"),
        (b"%PDF-1.7 nothing more", "damaged"),
        (pdf("x")[:300], "damaged"),
        (pdf("x", password="secret"), "needs a password"),
    ],
)
async def test_a_broken_or_locked_pdf_is_told(raw: bytes, words: str) -> None:
    with pytest.raises(ToolFailed, match=words):
        await read(Folder({"a.pdf": raw}))


@pytest.mark.parametrize(
    ("folder", "name", "words"),
    [
        (Folder(), "", "No file was shared"),
        (Folder({"a.txt": b"", "b.txt": b""}), "", "Several files are here. .*: a.txt, b.txt"),
        (Folder({"a.txt": b""}), "c.txt", "no file 'c.txt' .*: a.txt"),
        (Folder({"a.png": b"x"}, {"a.png": "image/png"}), "", "image/png.* only text, Markdown"),
        (Folder({"a.csv": b""}), "", "is empty"),
        (Folder({"a.txt": b"\x00\x01"}), "", "is not text"),
        (Folder({"a.txt": b"x" * (MAX_BYTES + 1)}), "", "10.0 MB"),
    ],
)
async def test_what_cannot_be_read_is_refused_with_a_way_out(
    folder: Folder, name: str, words: str
) -> None:
    with pytest.raises(ToolFailed, match=words):
        await read(folder, name)


async def test_a_large_file_is_not_even_fetched() -> None:
    folder = Folder({"a.txt": b"x"}, sizes={"a.txt": MAX_BYTES + 1})
    with pytest.raises(ToolFailed, match="at most 10 MB"):
        await read(folder)
    assert folder.reads == []


async def test_a_lying_size_does_not_help() -> None:
    folder = Folder({"a.txt": b"x" * (MAX_BYTES + 1)}, sizes={"a.txt": 1})
    with pytest.raises(ToolFailed, match="at most 10 MB"):
        await read(folder)


@pytest.mark.parametrize(
    ("cell", "comma", "number"),
    [
        ("1,234.50", False, "1234.50"),
        ("1.234,50", True, "1234.50"),
        ("(12)", False, "-12"),
        ("12 %", False, "12"),
        ("€ 5", False, "5"),
        (".5", False, "0.5"),
        ("1,2", False, None),
        ("2026-01-01", False, None),
        ("-", False, None),
        ("", False, None),
        ("nan", False, None),
    ],
)
def test_numbers_in_cells(cell: str, comma: bool, number: str | None) -> None:
    found = number_of(cell, decimal_comma=comma)
    assert (None if found is None else f"{found:f}") == number


@given(st.binary(max_size=300), st.sampled_from(["a.txt", "a.csv", "a.pdf"]))
async def test_any_bytes_give_text_or_a_reason(raw: bytes, name: str) -> None:
    try:
        text = await read(Folder({name: raw}))
    except ToolFailed:
        return
    assert text.startswith(name)
