"""What runs on the control node alone: Python 3.11, yaml, jinja2, what pyproject.toml names."""
