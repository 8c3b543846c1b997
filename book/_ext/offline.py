"""Make the built pages independent of every other host, and small.

- MathJax: Sphinx loads it (deferred, only on pages with mathematics) from
  mathjax_path; the wheel sphinx-mathjax-offline carries the files. Of its
  15 MB the one component used and its fonts are copied.
- Icons: the theme loads 1.5 MB of JavaScript to draw a dozen icons. Their
  outlines are read from that very file and written as CSS masks; the template
  static/webpack-macros.html leaves the script out.
- Small repairs of the pages, each with its reason.
"""

import re
from importlib.metadata import distribution
from pathlib import Path
from urllib.parse import quote

import pydata_sphinx_theme
from sphinx.errors import ExtensionError
from sphinx.util.fileutil import copy_asset

MATHJAX = ("tex-chtml.js", "output/chtml/fonts/woff-v2")
ICONS = (
    "angle-left", "angle-right", "arrow-up", "bars", "chevron-down",
    "circle-half-stroke", "code", "download", "expand", "file", "file-pdf",
    "github", "lightbulb", "list", "magnifying-glass", "moon", "outdent",
    "rocket", "sun", "xmark",
)
HEAD = """\
/* Icons: Font Awesome Free, https://fontawesome.com, CC BY 4.0. */
[class*="fa-"] {
  display: inline-block; width: 1em; height: 1em; vertical-align: -0.125em;
  background: currentColor; mask: var(--icon) center / contain no-repeat;
}
/* The theme's style sheet would fetch an icon font for these. */
[class*="fa-"]::before, .onthispage::after, a.reference.download::before,
.admonition > .admonition-title::after { content: none !important; }
"""


def icons_css(script):
    """Cut the outlines out of the text of fontawesome.js."""
    rules = []
    for name in ICONS:
        # ..."bars":[448,512,[aliases],"f0c9","M0 96C0..."]; the solid set is
        # the last of the three in the file.
        found = re.findall(
            rf'[{{,]"?{name}"?:\[(\d+),(\d+),\[[^]]*\],"\w+","([^"]+)"\]',
            script)
        if not found:
            raise ExtensionError(f"the theme has no icon named {name}")
        width, height, path = found[-1]
        svg = (f"<svg xmlns='http://www.w3.org/2000/svg' "
               f"viewBox='0 0 {width} {height}'><path d='{path}'/></svg>")
        rules.append(f'.fa-{name} {{ --icon: url("data:image/svg+xml,'
                     f'{quote(svg, safe=" =:/")}"); }}')
    return HEAD + "\n".join(rules) + "\n"


def repair_page(app, pagename, templatename, context, doctree):
    # Sphinx gives MathJax to the first page because others need it.
    if not app.env.domaindata["math"]["has_equations"].get(pagename):
        context["script_files"] = [
            script for script in context["script_files"]
            if "mathjax" not in
            f"{script.filename} {script.attributes}".lower()
        ]
    # A screen reader expects items in a list.
    if "body" in context:
        context["body"] = context["body"].replace(
            'role="doc-biblioentry"', 'role="listitem"')
        # sphinx-exercise gives all exercises of a page the same id.
        context["body"] = re.sub(r' id="(exercise|solution)-content"', "",
                                 context["body"])


INDEX = """\
<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<link rel="icon" href="data:,">
<meta http-equiv="refresh" content="0; url={target}"></head>
<body><main><h1><a href="{target}">{title}</a></h1></main></body></html>
"""


def copy_files(app, exception):
    if exception or app.builder.format != "html":
        return
    static = Path(app.outdir) / "_static"
    wheel = distribution("sphinx-mathjax-offline")
    source = Path(wheel.locate_file("sphinx-mathjax-offline/static/mathjax"))
    for name in MATHJAX:
        target = static / "mathjax" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        copy_asset(str(source / name),
                   str(target if (source / name).is_dir() else target.parent))
    theme = Path(pydata_sphinx_theme.__file__).parent
    script = (theme / "theme/pydata_sphinx_theme/static/scripts"
              / "fontawesome.js").read_text()
    (static / "icons.css").write_text(icons_css(script))
    # The first page has a name of its own; index.html leads to it. (The one
    # that the table of contents would write asks for a missing icon.)
    (static.parent / "index.html").write_text(INDEX.format(
        title=app.config.html_title, target=f"{app.config.root_doc}.html"))
    # Nothing refers to these any more.
    for pattern in ("scripts/fontawesome.js*", "vendor/fontawesome/*/*",
                    "**/*.map"):
        for path in static.glob(pattern):
            path.unlink()


def setup(app):
    app.add_css_file("icons.css")
    # Jupyter Book sets it for sphinx_comments, which is not loaded.
    app.add_config_value("comments_config", {}, "html")
    app.connect("html-page-context", repair_page, priority=950)
    app.connect("build-finished", copy_files)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
