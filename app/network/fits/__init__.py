"""What fits where: cards, targets, the largest run that fits."""
