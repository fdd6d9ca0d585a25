"""Everything the pages and the command line share.

Promise: importing any module of `core` outside `core.ui` leaves Streamlit out, and outside `core.ml` leaves
TensorFlow out (tests/test_architecture.py).
"""

__version__ = "0.1.0"
