"""What this service does when something happens elsewhere."""

from sfa.identity.v1 import events_pb2 as identity

from chassis.reporting_lines import reporting_line_changed
from chassis.subscriptions import Subscriptions

subscriptions = Subscriptions()

# who reports to whom, and so who sees what
subscriptions.on(identity.ReportingLineChanged)(reporting_line_changed)
