"""Options that several commands share: which installation is asked, and who asks."""

from __future__ import annotations

import os
from typing import Annotated, Final

import typer

Url = Annotated[str, typer.Option(envvar="SFA_URL", help="The installation.")]
User = Annotated[str, typer.Option(envvar="SFA_USER", help="Who asks: an e-mail address.")]
Password = Annotated[str, typer.Option(envvar="SFA_PASSWORD", help="Asked for where it is left out.")]
Token = Annotated[
    str, typer.Option(envvar="SFA_TOKEN", help="An access token, instead of user and password.")
]
LOCAL: Final = f"http://127.0.0.1:{os.environ.get('SFA_PORT') or 8080}"
"""The installation that `sfa up` starts with the same settings."""
