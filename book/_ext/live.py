"""The page on which the GPT runs in the reader's browser.

The directive `live` puts the tool into the page. The weights are written
beside it, as a script that a page may load from a folder, too. What they
cost is read from the headers of the weight files: substitutions for the text.
"""

import base64
import re
from pathlib import Path
from string import Template

from docutils import nodes
from docutils.parsers.rst import Directive

from pixellab import explore, weights

PAGE = Template((Path(__file__).parent / "live.html").read_text())
WEIGHTS = weights.FOLDER / "gpt-live.safetensors"


def kilobytes(count):
    return f"{count / 1000:,.0f} kB"


class Live(Directive):
    def run(self):
        depth = self.state.document.settings.env.docname.count("/")
        page = PAGE.substitute(
            static="../" * depth + "_static", size=kilobytes(size(WEIGHTS)),
            script=explore.script("filter", "gpt", "live"))
        return [nodes.raw("", page, format="html")]


def size(path):
    return path.stat().st_size


def numbers_for_the_text(app, config):
    """What the weights cost, as measured when they were made."""
    whole, live = (weights.load(name)[2] for name in ("gpt", "gpt-live"))
    config.myst_substitutions = {
        **config.myst_substitutions,
        "live_size": kilobytes(size(WEIGHTS)),
        "live_text": kilobytes(len(base64.b64encode(WEIGHTS.read_bytes()))),
        "gpt_size": kilobytes(size(WEIGHTS.with_stem("gpt"))),
        "images": f"{live['test_images']:,}",
        "gpt_bits": f"{whole['test_bits_per_token']:.5f}",
        "live_bits": f"{live['test_bits_per_token']:.5f}",
        "live_bytes": f"{live['test_bits_per_token'] * 784 / 8:.0f}",
    }


def choose_files(app, pagename, templatename, context, doctree):
    """The page has a style sheet of its own, and no cells to copy or hide."""
    if pagename == "book/live":
        app.add_css_file("live.css")
        context["script_files"] = [
            script for script in context["script_files"]
            if not re.search("clipboard|copybutton|togglebutton|design-tabs",
                             str(script.filename))]


def write_weights(app, exception):
    if exception or app.builder.format != "html":
        return
    text = base64.b64encode(WEIGHTS.read_bytes()).decode()
    (Path(app.outdir) / "_static" / "gpt-live.js").write_text(
        f'globalThis.pixellabWeights = "{text}";\n')


def setup(app):
    app.add_directive("live", Live)
    app.connect("config-inited", numbers_for_the_text)
    app.connect("html-page-context", choose_files, priority=950)
    app.connect("build-finished", write_weights)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
