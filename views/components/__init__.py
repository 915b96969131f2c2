"""Components of our own, where Streamlit has none: inline HTML, CSS and JavaScript, no build."""
