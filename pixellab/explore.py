"""Explorers: pictures that a reader can touch, without a kernel.

Each function returns one piece of HTML that carries its data, its style and
its JavaScript (pixellab/js). It works in a notebook, on Colab and in the
built page, from a server or a folder, and asks no other host. Where no
script runs, a figure with alt text remains.
"""

import re
from pathlib import Path

JAVASCRIPT = Path(__file__).parent / "js"


def script(*modules):
    """The modules of pixellab/js, in this order, as the text of one script.

    A page in a folder may not load modules by address, so they stand in it:
    the imports between them fall away.
    """
    text = "\n".join((JAVASCRIPT / f"{name}.js").read_text()
                     for name in modules)
    text = re.sub(r"^import .*\n", "", text, flags=re.M)
    return re.sub(r"^export ", "", text, flags=re.M)
