"""A real PDF, made on the spot."""

import io

from pypdf import PdfWriter
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

_FONT = {"Type": "Font", "Subtype": "Type1", "BaseFont": "Helvetica"}


def pdf(*texts: str, password: str | None = None) -> bytes:
    """A real PDF with one line of Helvetica a page."""
    writer = PdfWriter()
    for text in texts:
        page = writer.add_blank_page(300, 200)
        content = DecodedStreamObject()
        content.set_data(f"BT /F1 12 Tf 20 100 Td ({text}) Tj ET".encode("latin-1"))
        font = DictionaryObject()
        font.update(
            {NameObject(f"/{key}"): NameObject(f"/{value}") for key, value in _FONT.items()}
        )
        fonts = DictionaryObject({NameObject("/F1"): font})
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
        page[NameObject("/Contents")] = content
    if password:
        writer.encrypt(password, algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()
