"""Sphinx's configuration of the documentation site; tools/site/make.py lays the sources around it."""

from __future__ import annotations

from pathlib import Path

import yaml

_GALAXY = yaml.safe_load((Path(__file__).parent / "galaxy.yml").read_text(encoding="utf-8"))

project = "baremetal.vllm"
author = _GALAXY["authors"][0]
copyright = author
release = version = _GALAXY["version"]
language = "en"

extensions = ["myst_parser", "sphinx.ext.intersphinx", "sphinx_antsibull_ext"]
# Anchors as GitHub makes them, so that a link with one holds in both places.
myst_heading_anchors = 4
# Only what make.py has written: nothing is fetched while the site is built.
intersphinx_mapping = {"ansible": ("https://docs.ansible.com/projects/ansible-core/devel/", "ansible.inv")}
highlight_language = "console"
# Examples leave things out with an ellipsis, which is no JSON and no YAML.
suppress_warnings = ["misc.highlighting_failure"]

html_theme = "furo"
html_title = f"baremetal.vllm {release}"
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
html_static_path = ["static"]
html_css_files = ["site.css"]
