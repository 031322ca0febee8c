"""Types of the compiled engine: cffi's ffi and lib are dynamic."""

from typing import Any

ffi: Any
lib: Any
