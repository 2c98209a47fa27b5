"""Exit criteria of stages: expressions in CEL, checked when a pipeline is saved, judged when a deal moves, and
explained where they are not met."""
