"""Chapters are plain notebooks; this adds what only a page can have.

A notebook links to `bibliography.md#KEY` and `glossary.md#SLUG`, as any
Markdown does: here these targets are made known, so that a link to one that
does not exist is a warning. A section "Solution of exercise ..." becomes a
box that opens on a click, and lines that only Colab reads go.
"""

from docutils import nodes
from sphinx.transforms import SphinxTransform

BIBLIOGRAPHY, GLOSSARY = "book/bibliography", "book/glossary"


def slug(term):
    """The anchor of a glossary's entry, as chapters write it."""
    return "-".join(term.lower().split())


def make_targets_known(app, env):
    """MyST looks a link's #target up among these, and warns."""
    env.metadata[BIBLIOGRAPHY]["myst_slugs"] = {
        citation.key: (1, citation.citation_id, citation.key)
        for citation in env.get_domain("cite").citations}
    env.metadata[GLOSSARY]["myst_slugs"] = {
        slug(name): (1, target, name)
        for (kind, name), (page, target)
        in env.get_domain("std").objects.items()
        if kind == "term" and page == GLOSSARY}


class FoldSolutions(SphinxTransform):
    """Sections of solutions, to boxes that are closed at first."""

    default_priority = 800

    def apply(self):
        for section in list(self.document.findall(nodes.section)):
            title = section.next_node(nodes.title)
            if title is None or title.parent is not section \
                    or not title.astext().startswith("Solution of exercise"):
                continue
            box = nodes.admonition("", *section.children,
                                   classes=["dropdown", "solution"])
            section.replace_self(box)


class DropForms(SphinxTransform):
    """Colab shows a cell that begins with @title as a form: only there."""

    default_priority = 800

    def apply(self):
        for block in self.document.findall(nodes.literal_block):
            first, _, rest = block.astext().partition("\n")
            if first.startswith("# @title"):
                block.rawsource = rest
                block.children = [nodes.Text(rest)]


def setup(app):
    # After sphinxcontrib-bibtex has put the list together.
    app.connect("env-updated", make_targets_known, priority=900)
    app.add_transform(FoldSolutions)
    app.add_transform(DropForms)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
