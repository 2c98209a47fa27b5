"""What all tables of the forecast are declared in."""

from sqlalchemy import MetaData

metadata = MetaData()
