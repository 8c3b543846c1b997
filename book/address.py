"""Set the public address of the repository: make address URL=...

    make address URL=https://github.com/me/my-fork

The present address stands in pyproject.toml (Repository). Every file under
version control that names it, in any of its forms (see FORMS), gets the new
one; the chapters in the README get links that open them in Colab, and the
next `make book` has buttons for both. Run it again when the address changes.
"""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ADDRESS = re.compile(  # as GitHub allows names
    r"https://github\.com/([a-z\d](?:[a-z\d-]{0,38}))/([\w.-]{1,100}?)"
    r"(?:\.git)?/?", re.I | re.A)
COLAB = "colab.research.google.com/github/{owner}/{name}"
FORMS = ("github.com/{owner}/{name}", COLAB, "{owner}.github.io/{name}",
         "raw.githubusercontent.com/{owner}/{name}")
NO_LESS = r"(?<![\w-])"
NO_MORE = r"(?![\w-]|\.(?!git\b)\w)"  # me/book is not me/book-two
CHAPTER = re.compile(r"\]\((chapters/[\w/]+\.ipynb)\)(?! \[\(in Colab)")


def parts(url):
    """(owner, name) of a repository's address; ValueError for another."""
    found = ADDRESS.fullmatch(url)
    if not found:
        raise ValueError(f"{url!r} is not the address of a repository: give "
                         "URL=https://github.com/OWNER/NAME, with your own "
                         "names")
    return found.groups()


def present(root):
    """The address that the files hold now."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    return project["urls"]["Repository"]


def texts(root):
    """Path and text of every text file under version control."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=root, check=True,
                           capture_output=True).stdout.decode().split("\0")
    for path in (root / name for name in names if name):
        if path.is_file() and not path.is_symlink():
            try:
                yield path, path.read_bytes().decode()
            except UnicodeDecodeError:
                pass  # weights, pictures


def moved(text, old, new):
    """The text with the address in its new place, whatever its form."""
    for form in FORMS:
        before, after = (form.format(owner=owner, name=name)
                         for owner, name in (old, new))
        text = re.sub(NO_LESS + re.escape(before) + NO_MORE, after, text,
                      flags=re.I)
    return text


def with_colab(readme, new):
    """A link behind every chapter that has none yet."""
    colab = "https://" + COLAB.format(owner=new[0], name=new[1])
    return CHAPTER.sub(
        lambda link: f"{link[0]} [(in Colab)]({colab}/blob/main/{link[1]})",
        readme)


def set_address(root, url):
    """Change all files or, where one cannot be, none; their paths."""
    new = parts(url)
    if new[0] == "OWNER":
        raise ValueError("OWNER only keeps the place: give your own name "
                         "on GitHub")
    old, changed = parts(present(root)), {}
    for path, text in texts(root):
        after = moved(text, old, new)
        if path == root / "README.md":
            after = with_colab(after, new)
        if after != text:
            changed[path] = after
            if not os.access(path, os.W_OK):
                raise PermissionError(f"{path} cannot be written to: nothing "
                                      "was changed")
    for path, text in changed.items():
        path.write_bytes(text.encode())
    return list(changed)


def main(words):
    try:
        if len(words) != 1 or not words[0]:
            raise ValueError("give URL=https://github.com/OWNER/NAME (the "
                             f"address is {present(ROOT)} now)")
        changed = set_address(ROOT, words[0])
    except subprocess.CalledProcessError:
        print(f"address: {ROOT} is not a git repository: clone it first",
              file=sys.stderr)
        return 2
    except (ValueError, OSError) as error:
        print(f"address: {error}", file=sys.stderr)
        return 2
    for path in changed:
        print(path.relative_to(ROOT))
    print(f"{present(ROOT)}: {len(changed)} files changed; look at them with "
          "`git diff`, and commit them")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
