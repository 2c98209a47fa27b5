"""What this service does when something happens elsewhere: nothing, everybody else listens to it."""

from chassis.subscriptions import Subscriptions

subscriptions = Subscriptions()
