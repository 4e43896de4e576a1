"""What the server is compared with: nothing here is part of it, or uses any of it."""

from pathlib import Path

_HERE = Path(__file__).parent
afternoon_file = _HERE / "afternoon.py"
hello_asgi_file = _HERE / "hello_asgi.py"
hello_fastapi_file = _HERE / "hello_fastapi.py"
