"""What the tables of this service share."""

from sqlalchemy import MetaData

metadata = MetaData()
