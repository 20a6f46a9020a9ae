"""The Gradio app. Nothing outside this package and app.py imports gradio."""
