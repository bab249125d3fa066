"""What somebody sees who installs the app: three small pages without any script."""

from html import escape

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ margin: 0; min-height: 100vh; display: grid; place-items: center;
  font: 17px/1.5 system-ui, sans-serif; background: #f4f3f8; color: #1d1c1d; }}
main {{ max-width: 30rem; margin: 1rem; padding: 2.2rem 2.4rem; border-radius: 14px;
  background: #fff; box-shadow: 0 1px 3px #0002, 0 8px 30px #2c2d7214; }}
h1 {{ margin: 0 0 .6rem; font-size: 1.45rem; line-height: 1.25; }}
p {{ margin: .6rem 0; }}
a.button {{ display: inline-block; margin-top: 1rem; padding: .7rem 1.3rem; border-radius: 8px;
  background: #2c2d72; color: #fff; font-weight: 600; text-decoration: none; }}
a.button:focus-visible {{ outline: 3px solid #8a8be0; outline-offset: 2px; }}
@media (prefers-color-scheme: dark) {{
  body {{ background: #17171d; color: #e8e8ea; }}
  main {{ background: #222229; box-shadow: none; }}
  a.button {{ background: #5a5cc9; }}
}}
</style>
</head>
<body>
<main>
<h1>{title}</h1>
{words}
{button}
</main>
</body>
</html>
"""


def page(title: str, *words: str, button: tuple[str, str] | None = None) -> str:
    """One page; `button` is what it says and where it leads. Everything is escaped."""
    link = ""
    if button:
        label, address = button
        link = f'<a class="button" href="{escape(address)}">{escape(label)}</a>'
    paragraphs = "\n".join(f"<p>{escape(part)}</p>" for part in words)
    return _PAGE.format(title=escape(title), words=paragraphs, button=link)


def install_page(name: str, authorize_url: str) -> str:
    """Where it begins."""
    return page(
        f"Add {name} to Slack",
        f"Slack asks you next for which workspace, and what {name} may do there. You can remove it "
        "again in Slack at any time; everything that was kept of the workspace is deleted then.",
        button=("Add to Slack", authorize_url),
    )


def success_page(name: str, workspace: str, address: str) -> str:
    """It is done."""
    return page(
        f"{name} is in {workspace}",
        f"Find it in Slack under Apps and ask it something, or write /invite @{name} in a channel "
        "and mention it there.",
        button=("Open Slack", address),
    )


def failure_page(words: str, again: str) -> str:
    """It is not done, and why."""
    return page("Nothing was installed", words, button=("Begin again", again))
