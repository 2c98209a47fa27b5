"""What deals can be rolled up by: whose they are, and at which node of which tree each part of one stands."""

from services.forecast.dimensions.axes import Axis, axis_of
from services.forecast.dimensions.question import Credit, GroupBy, Hierarchy, Question, RateDate
from services.forecast.dimensions.tree import Tree

__all__ = ["Axis", "Credit", "GroupBy", "Hierarchy", "Question", "RateDate", "Tree", "axis_of"]
