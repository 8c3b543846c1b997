"""The page on which the GPT runs in the reader's browser.

The directive `live` puts the tool into the page. The weights are written
beside it, as a script that a page may load from a folder, too. What they
cost is read from the headers of the weight files: substitutions for the text.
"""

import base64
import functools
import hashlib
import json
import re
from pathlib import Path
from string import Template

import numpy as np
import safetensors
from docutils import nodes
from docutils.parsers.rst import Directive

from pixellab import explore, weights
from pixellab.priors.gpt import neighbours

PAGE = Template((Path(__file__).parent / "live.html").read_text())
WEIGHTS = weights.FOLDER / "gpt-live.safetensors"
MODULES = "filter", "gpt", "controls", "live"


def kilobytes(count):
    return f"{count / 1000:,.0f} kB"


def text_of(values):
    return base64.b64encode(values.tobytes()).decode()


@functools.cache
def network():
    """The weights as a script: bytes with one scale a row, and floats."""
    with safetensors.safe_open(WEIGHTS, "np") as file:
        config = json.loads(file.metadata()["config"])["prior"]
        raw = {name: file.get_tensor(name) for name in file.keys()}
    config["back"] = neighbours(config["grid"][1], config["window"])
    tensors = {}
    for name in sorted(raw.keys() - {f"{name}.scale" for name in raw}):
        values, scales = raw[name], raw.get(f"{name}.scale")
        tensors[name] = {"floats": text_of(values.astype(np.float32))} \
            if scales is None else {
                "bytes": text_of(values), "scales": text_of(scales)}
    about = json.dumps({"config": config, "tensors": tensors})
    return f"globalThis.pixellabWeights = {about};\n"


def page(static):
    checksum = hashlib.sha256(network().encode()).digest()
    return PAGE.substitute(
        static=static, size=kilobytes(size(WEIGHTS)),
        integrity=f"sha256-{base64.b64encode(checksum).decode()}",
        script=explore.script(*MODULES))


class Live(Directive):
    def run(self):
        depth = self.state.document.settings.env.docname.count("/")
        text = page("../" * depth + "_static")
        return [nodes.raw("", text, format="html")]


def size(path):
    return path.stat().st_size


def numbers_for_the_text(app, config):
    """What the weights cost, as measured when they were made."""
    whole, live = (weights.read(name).provenance
                   for name in ("gpt", "gpt-live"))
    config.myst_substitutions = {
        **config.myst_substitutions,
        "live_size": kilobytes(size(WEIGHTS)),
        "live_text": kilobytes(len(network())),
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
    (Path(app.outdir) / "_static" / "gpt-live.js").write_text(network())


def setup(app):
    app.add_directive("live", Live)
    app.connect("config-inited", numbers_for_the_text)
    app.connect("html-page-context", choose_files, priority=950)
    app.connect("build-finished", write_weights)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
