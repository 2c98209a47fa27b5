"""What this service does when something happens elsewhere: nothing yet, besides what every service does
with identity's events."""

from chassis.subscriptions import Subscriptions

subscriptions = Subscriptions()
