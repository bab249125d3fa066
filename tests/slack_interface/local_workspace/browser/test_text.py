"""The three text dialects, piece by piece, and that no text becomes markup or a script."""

import pytest

from tests.slack_interface.local_workspace.browser.conftest import World

RENDER = """async ([module, name, text]) => {
  const module_ = await import(`/page/js/${module}.js`);
  const users = new Map([["U0ADA", { id: "U0ADA", real_name: "Ada Lovelace" }]]);
  const store = {
    me: { id: "U0GRACE" }, assistant: { bot_user_id: "U0VIRTUOUS", name: "Virtuous6" },
    channels: [], users, user: (id) => users.get(id) || null, channel: () => null,
  };
  const host = document.createElement("div");
  host.append(module_[name](store, text));
  return host.innerHTML.replace(/ (class|target|rel|data-user|title|role|tabindex)="[^"]*"/g, "");
}"""

MRKDWN = [
    ("*a* _b_ ~c~", "<strong>a</strong> <em>b</em> <s>c</s>"),
    ("*_both_*", "<strong><em>both</em></strong>"),
    ("a*b*c and 2 * 3 * 4", "a*b*c and 2 * 3 * 4"),
    ("`*raw*`", "<code>*raw*</code>"),
    ("&lt;b&gt; &amp;amp;", "&lt;b&gt; &amp;amp;"),
    ("<script>x</script>", "&lt;script&gt;x&lt;/script&gt;"),
    ("<@U0ADA>, <@U0VIRTUOUS>", "<span>@Ada Lovelace</span>, <span>@Virtuous6</span>"),
    ("<https://x.org?a=1&amp;b=2|x>", '<a href="https://x.org/?a=1&amp;b=2">x</a>'),
    ("<javascript:alert(1)|x>", "<span>x</span>"),
    ("see https://x.org.", 'see <a href="https://x.org/">https://x.org</a>.'),
    ("&gt; one\n&gt; two\nthree", "<blockquote>one<br>two</blockquote>three"),
    ("<!date^0^{date_num} at|then>", "<time>01/01/1970 at</time>"),
    (":nosuch: :tada:", ':nosuch: <span aria-label="tada">🎉</span>'),
]

MARKDOWN = [
    ("**a** *b* ~~c~~ `d`", "<p><strong>a</strong> <em>b</em> <s>c</s> <code>d</code></p>"),
    ("***x***", "<p><strong><em>x</em></strong></p>"),
    ("snake_case_name", "<p>snake_case_name</p>"),
    (r"\*not\* 2*3*4", "<p>*not* 2<em>3</em>4</p>"),
    ("a\nb", "<p>a<br>b</p>"),
    ("# T\ntext", "<h3>T</h3><p>text</p>"),
    ("- a\n- b\n\nafter", "<ul><li>a</li><li>b</li></ul><p>after</p>"),
    ("3. c\n4. d", '<ol start="3"><li>c</li><li>d</li></ol>'),
    ("1. a\n\n   b\n2. c", '<ol start="1"><li><p>a</p><p>b</p></li><li>c</li></ol>'),
    ("---", "<hr>"),
    ("[x](https://x.org/a_(b))", '<p><a href="https://x.org/a_(b)">x</a></p>'),
    ("[x](javascript:alert(1))", "<p><span>x</span></p>"),
    ("![cat](https://x.org/c.png)", '<p><a href="https://x.org/c.png">cat</a></p>'),
    ("<img src=x onerror=alert(1)>", "<p>&lt;img src=x onerror=alert(1)&gt;</p>"),
    ("``a`b``", "<p><code>a`b</code></p>"),
]


@pytest.mark.parametrize("dialect", ["mrkdwn", "markdown"])
async def test_each_construct_becomes_the_right_nodes(world: World, dialect: str) -> None:
    page = await world.open()
    cases = MRKDWN if dialect == "mrkdwn" else MARKDOWN
    name = "renderMrkdwn" if dialect == "mrkdwn" else "renderMarkdown"
    seen = [(text, await page.evaluate(RENDER, [dialect, name, text])) for text, _ in cases]
    assert seen == cases


async def test_half_arrived_markdown_is_shown_as_far_as_it_goes(world: World) -> None:
    page = await world.open()
    half = await page.evaluate(RENDER, ["markdown", "renderMarkdown", "text\n```python\nx = 1"])
    assert half.startswith("<p>text</p>")
    assert "<pre><code>x = 1</code></pre>" in half


async def test_what_was_stored_comes_back_as_it_was_typed(world: World) -> None:
    page = await world.open()
    typed = await page.evaluate(
        """async (stored) => {
          const { decode } = await import("/page/js/textcode.js");
          const { Store } = await import("/page/js/store.js");
          const store = new Store();
          store.setState(await (await fetch("/_page/state?user=ada")).json());
          return decode(store, stored);
        }""",
        "<@U0GRACE> &amp; <@U0VIRTUOUS> in <#C0GENERAL> <https://x.org?a&amp;b|x> &lt;y&gt;",
    )
    assert typed == "@Grace Hopper & @Virtuous6 in #general https://x.org?a&b <y>"


HOSTILE = [mark * 3000 for mark in ("**", "`", "[", "<", "_a", "*a ", "![", "~~", "> ", "- ", "|-")]


@pytest.mark.parametrize("dialect", ["mrkdwn", "markdown"])
async def test_hostile_text_is_drawn_quickly(world: World, dialect: str) -> None:
    page = await world.open()
    name = "renderMrkdwn" if dialect == "mrkdwn" else "renderMarkdown"
    took: list[float] = await page.evaluate(
        """async ([module, name, texts]) => {
          const render = (await import(`/page/js/${module}.js`))[name];
          const store = { me: null, assistant: {}, channels: [], user: () => null };
          return texts.map((text) => {
            const begun = performance.now();
            document.createElement("div").append(render(store, `${text} end`));
            return performance.now() - begun;
          });
        }""",
        [dialect, name, HOSTILE],
    )
    slow = [(text[:4], ms) for text, ms in zip(HOSTILE, took, strict=True) if ms > 2000]
    assert slow == []
