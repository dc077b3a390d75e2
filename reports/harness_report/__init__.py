"""The report: reads a workspace, shows it with Streamlit, and exports it as one HTML file. It never loads a model."""
