"""Make the built pages independent of every other host, and small.

- MathJax: Sphinx loads it (deferred, only on pages with mathematics) from
  mathjax_path; the wheel sphinx-mathjax-offline carries the files. Of its
  15 MB the one component used and its fonts are copied.
- Icons: the theme loads 1.5 MB of JavaScript to draw a dozen icons. Their
  outlines are read from that very file and written as CSS masks; the template
  static/webpack-macros.html leaves the script out.
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
    "lightbulb", "list", "magnifying-glass", "moon", "outdent", "sun",
    "xmark",
)
HEAD = """\
/* Icons: Font Awesome Free, https://fontawesome.com, CC BY 4.0. */
[class*="fa-"] {
  display: inline-block; width: 1em; height: 1em; vertical-align: -0.125em;
  background: currentColor; mask: var(--icon) center / contain no-repeat;
}
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
    # Nothing refers to these any more.
    for pattern in ("scripts/fontawesome.js*", "vendor/fontawesome/*/*",
                    "**/*.map"):
        for path in static.glob(pattern):
            path.unlink()


def setup(app):
    app.add_css_file("icons.css")
    app.connect("build-finished", copy_files)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
