"""What all visitors of the app share. It knows nothing of Streamlit."""
