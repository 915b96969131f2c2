"""The Streamlit side: settings, the page frame, caches, components."""
