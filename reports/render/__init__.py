"""A page as HTML, PDF, Markdown and data files."""
