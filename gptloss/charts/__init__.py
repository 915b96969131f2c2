"""Results to Plotly figures: pure functions, one file a subject."""
