"""The server: access, uploads, downloads and the page."""
