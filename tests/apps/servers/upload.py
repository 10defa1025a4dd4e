import streamlit

name = streamlit.text_input("Name")
streamlit.write(f"Hello, {name}.")
file = streamlit.file_uploader("File")
if file is not None:
    streamlit.write(f"{file.name} has {len(file.getvalue())} bytes.")
