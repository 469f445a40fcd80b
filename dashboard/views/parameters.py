"""Where this page was, the Search page's slices are: an address that somebody kept goes on leading there."""

import streamlit as st

st.switch_page("views/search.py", query_params={**st.query_params.to_dict(), "section": "Slices"})
