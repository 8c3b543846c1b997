"""How `make lab` saves: a chapter opened and saved is the chapter it was.

JupyterLab writes the kernel it found, its language's version, and what it
remembers of cells into a notebook. None of that belongs to a chapter.
"""

# A notebook and a script are one chapter; the script carries no header.
PAIR = {"formats": "ipynb,py:percent", "notebook_metadata_filter": "-all"}
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def pinned(notebook):
    """The notebook (a dict) without what a front end adds, in place."""
    notebook["metadata"].clear()
    notebook["metadata"].update(jupytext=dict(PAIR), kernelspec=dict(KERNEL))
    for cell in notebook["cells"]:
        for key in ("trusted", "execution", "collapsed", "editable"):
            cell["metadata"].pop(key, None)
    return notebook


def before_saving(model, **kwargs):
    if model["type"] == "notebook" and model["content"]:
        pinned(model["content"])


try:
    c = get_config()  # noqa: F821 (a name that Jupyter gives to this file)
except NameError:  # imported by execute.py
    pass
else:
    c.FileContentsManager.pre_save_hook = before_saving
    c.ServerApp.root_dir = "chapters"
