"""What stands around every page: the sidebar, the title, the notices."""
