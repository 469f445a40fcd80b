"""What `python -m sweeper dashboard` starts: the pages behind their doors. Streamlit looks for an `app`."""

import streamlit as st
from starlette.middleware import Middleware

from dashboard.doors import Guard
from dashboard.root import Root

app = st.App("app.py", middleware=[Middleware(Guard), Middleware(Root)])
